"""How fast PPO learns: one agent, and several of them one at a time or together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import vecmarket as vm
from bench.measure import Case, Side, Timings, alternate
from bench.plan import Plan, threads_name
from bench.report import CASE_GENERATORS, Table, rate, times

if TYPE_CHECKING:
    from vecmarket.training import PPO, BatchedPPO, PPOConfig

HOURS = 24
KIND, BATCHED = "training", "batched training"
TITLE, BATCHED_TITLE = "Training with PPO", "Several agents at once"
THREADS = (1, 2)
DRAW = "policy"  # the actions are those of the policies that learn
MANY = 1 << 40  # steps of a run that no benchmark reaches the end of
COLLECTING, ADVANTAGES = "collecting", "advantages"
ALONE, TOGETHER, SHARED = "one at a time", "together", "together in one market"


def tables(plan: Plan) -> list[Table]:
    """Return the tables of one learner and of several, without rows where torch is not installed."""
    if find_spec("torch") is None:
        return [Table(title, "Skipped: torch is not installed.", [], []) for title in (TITLE, BATCHED_TITLE)]
    with torch_threads_kept():
        return [_one(plan), _several(plan)]


def steps_per_second(count: int) -> Callable[[Timings], float]:
    """Return what reads the agent-steps a second of PPO on so many threads of torch."""
    return lambda timings: 1e9 / timings.median(threads_name(count))


def _one(plan: Plan) -> Table:
    measured: dict[Case, Timings] = {}
    for size in plan.training_sizes:
        sides: dict[str, Side] = {}
        for count in THREADS:
            learner = _learner(size)
            parts = {
                threads_name(count): learner.iterate,
                _part(COLLECTING, count): learner.collect,
                _part(ADVANTAGES, count): learner.advantages,
            }
            learner.iterate()
            sides |= {name: Side(on_torch_threads(count, part), size * HOURS) for name, part in parts.items()}
        measured[Case(DRAW, CASE_GENERATORS, size)] = alternate(sides, plan.effort)
    rows = [_row(case, timings, count) for case, timings in measured.items() for count in THREADS]
    config = settings()
    note = (
        f"`PPO.iterate` in `MarketVectorEnv`, one learner, truthful rivals, G = {CASE_GENERATORS}: "
        f"{HOURS} steps in N environments, then {config.epochs} epochs of {config.minibatches} minibatches, "
        f"actor and critic of {' x '.join(map(str, config.hidden))} units, {config.activation}, float32. An "
        "agent-step is one step of one learner in one environment, its share of the update included. "
        "Environments on one thread; the update is what is left of an iteration."
    )
    header = ["N", "torch", "agent-steps a second", "collecting", "advantages", "update"]
    return Table(TITLE, note, header, rows, kind=KIND, timings=measured)


def _several(plan: Plan) -> Table:
    rows = []
    measured: dict[Case, Timings] = {}
    for agents, size in plan.batched_sizes:
        sides = {
            f"{name}, {count}": Side(on_torch_threads(count, play), agents * size * HOURS)
            for count in THREADS
            for name, play in _plays(agents, size).items()
        }
        timings = measured[Case(DRAW, agents, size)] = alternate(sides, plan.effort)
        rows += [_several_row(agents, size, count, timings) for count in THREADS]
    note = (
        "B agents of `Scenario.default(B)`, each with networks of its own and N environments, settings as "
        "above: B times `PPO`, one after the other; `BatchedPPO` with an environment for each agent, whose "
        'rivals are truthful; and `BatchedPPO` in one `MarketVectorEnv(learner="all")` of N markets. '
        "Agent-steps a second, those of all agents together."
    )
    header = ["B", "N", "torch", ALONE, TOGETHER, "gain", SHARED]
    return Table(BATCHED_TITLE, note, header, rows, kind=BATCHED, timings=measured)


def settings() -> PPOConfig:
    """Return the settings of every learner here."""
    from vecmarket.training import market_ppo

    return dataclasses.replace(market_ppo(), target_kl=None)  # every epoch is taken


def market(
    size: int,
    agents: int = CASE_GENERATORS,
    learner: int | str = CASE_GENERATORS - 1,
    *,
    threads: int = 1,
) -> vm.MarketVectorEnv:
    """Return N environments of the market that is learned in."""
    return vm.MarketVectorEnv(
        size,
        vm.Scenario.default(agents, HOURS),
        learner=learner,
        autoreset_mode="same_step",
        copy=False,
        threads=threads,
    )


def _learner(size: int, agents: int = CASE_GENERATORS, agent: int = CASE_GENERATORS - 1) -> PPO:
    from vecmarket.training import PPO

    return PPO(market(size, agents, agent), settings(), total_steps=MANY, seed=agent)


def _together(size: int, agents: int, *, shared: bool) -> BatchedPPO:
    from vecmarket.training import BatchedPPO

    envs = market(size, agents, "all") if shared else [market(size, agents, agent) for agent in range(agents)]
    return BatchedPPO(envs, settings(), total_steps=MANY, seeds=range(agents))


def _plays(agents: int, size: int) -> dict[str, Callable[[], object]]:
    alone = [_learner(size, agents, agent) for agent in range(agents)]
    return {
        ALONE: lambda: [learner.iterate() for learner in alone],
        TOGETHER: _together(size, agents, shared=False).iterate,
        SHARED: _together(size, agents, shared=True).iterate,
    }


def on_torch_threads(count: int, call: Callable[[], object]) -> Callable[[], object]:
    """Return the call on so many threads of torch."""
    import torch

    def run() -> None:
        torch.set_num_threads(count)
        call()

    return run


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """Put torch's number of threads back afterwards."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _row(case: Case, timings: Timings, count: int) -> list[str]:
    whole = timings.median(threads_name(count))
    shares = [timings.median(_part(part, count)) / whole for part in (COLLECTING, ADVANTAGES)]
    shares.append(1.0 - sum(shares))
    cells = [str(case.envs), threads_name(count), rate(1e9 / whole)]
    return [*cells, *(f"{share:.0%}" for share in shares)]


def _several_row(agents: int, size: int, count: int, timings: Timings) -> list[str]:
    alone, together, shared = (f"{name}, {count}" for name in (ALONE, TOGETHER, SHARED))
    return [
        str(agents),
        str(size),
        threads_name(count),
        rate(1e9 / timings.median(alone)),
        rate(1e9 / timings.median(together)),
        times(timings.ratio(alone, together)),
        rate(1e9 / timings.median(shared)),
    ]


def _part(part: str, count: int) -> str:
    return f"{part}, {count}"
