"""Environment steps per second over the size of the batch and the number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

import vecmarket as vm
from bench.baselines.fleet import fleet_of
from bench.baselines.numba_batch import NumbaBatch
from bench.baselines.python_env import PythonEnv
from bench.floor import copy_of_outputs
from bench.measure import Case, Side, Timings, alternate, autoreset_day, episodes
from bench.plan import Plan, cores, draw_actions, threads_name
from bench.plot import Panel, plot_scaling
from bench.report import CASE_DRAW, Table, rate, times

HOURS = 24
KIND = "throughput"
GENERATORS = 5
WHOLE_DAYS = 512  # most environments that the Python sides step through a whole day in one turn
SYNC = "SyncVectorEnv of MarketEnv"
PYTHON = "per-env Python loop"
NUMBA_ALL = "batched numba, 1 thread, all agents"
NUMBA_ONE = "batched numba, 1 thread, one learner"
COPY_ALL, COPY_ONE = "copy of Engine.step's bytes", "copy of MarketVectorEnv's bytes"


def tables(plan: Plan) -> list[Table]:
    """Return steps per second and ratios for every batch size, and draw the scaling plot."""
    found = []
    for draw in plan.draws:
        measured = {size: alternate(_sides(plan, draw, size), plan.effort) for size in plan.batch_sizes}
        found += [_rates(plan, draw, measured), _ratios(draw, measured)]
        if plan.figure is not None and draw == plan.draws[0]:
            plot_scaling(
                {size: _per_second(timings) for size, timings in measured.items()}, _panels(), plan.figure
            )
    return found


def _rates(plan: Plan, draw: str, measured: dict[int, Timings]) -> Table:
    names = list(measured[min(measured)].nanoseconds)
    rows = []
    for size, timings in measured.items():
        per_second = _per_second(timings)
        rows.append([str(size), *(rate(per_second[name]) if name in per_second else "—" for name in names)])
    note = (
        f"Environment steps per second, {GENERATORS} generators, price parameter drawn {_how(draw)}. "
        "`Engine.step`: every agent acts and observes. `MarketVectorEnv`: one learner, truthful rivals, "
        "default autoreset (25 calls play 24 steps). `SyncVectorEnv` and the Python loop step environment by "
        f"environment, so that their cost per step does not fall with N; above N = {WHOLE_DAYS} their turns "
        "are a few hours of the day, most of them without its reset, and — is not measured. The copies are "
        "one `numpy.copyto` of the bytes that observations, rewards, flags, prices, demand and dispatch take."
    )
    # The size nearest to the one of the step table.
    nearest = min(measured, key=lambda size: abs(size - plan.markets))
    engine_step = measured[nearest].median(_engine_name(1)) if draw == CASE_DRAW else None
    cases = {Case(draw, GENERATORS, size): timings for size, timings in measured.items()}
    return Table(f"Throughput, {draw} price draw", note, ["N", *names], rows, engine_step, KIND, cases)


def _ratios(draw: str, measured: dict[int, Timings]) -> Table:
    most = _thread_counts()[-1]
    engine, vector = _engine_name(1), vector_name(1, copy=False)
    pairs = [
        (f"Engine.step / {NUMBA_ALL}", NUMBA_ALL, engine),
        (f"MarketVectorEnv / {NUMBA_ONE}", NUMBA_ONE, vector),
        ("MarketVectorEnv / SyncVectorEnv", SYNC, vector),
        (f"MarketVectorEnv / {PYTHON}", PYTHON, vector),
        (f"Engine.step, {most} threads / 1", engine, _engine_name(most)),
        (f"MarketVectorEnv, {most} threads / 1", vector, vector_name(most, copy=False)),
    ]
    rows = [
        [
            str(size),
            *(
                times(timings.ratio(slow, fast)) if slow in timings.nanoseconds else "—"
                for _, slow, fast in pairs
            ),
        ]
        for size, timings in measured.items()
    ]
    note = (
        "How many times as fast the first is, pair by pair; one thread and copy=False unless said otherwise."
    )
    return Table(
        f"Throughput, ratios, {draw} price draw", note, ["N", *(title for title, _, _ in pairs)], rows
    )


def _panels() -> list[Panel]:
    threads = _thread_counts()
    return [
        Panel(
            f"{GENERATORS} generators, every agent acts and observes",
            [_engine_name(count) for count in threads],
            [NUMBA_ALL],
            COPY_ALL,
        ),
        Panel(
            f"{GENERATORS} generators, one learner among truthful rivals",
            [vector_name(count, copy=False) for count in threads],
            [NUMBA_ONE, SYNC, PYTHON],
            COPY_ONE,
        ),
    ]


def _sides(plan: Plan, draw: str, size: int) -> dict[str, Side]:
    scenario = vm.Scenario.default(GENERATORS, HOURS)
    fleet = fleet_of(scenario)
    pool = draw_actions(draw, size, GENERATORS)
    learners = [np.ascontiguousarray(actions[:, 0]) for actions in pool]
    sides: dict[str, Side] = {}
    for threads in _thread_counts():
        engine = vm.Engine(scenario, size, threads=threads)
        play = episodes(engine.reset, engine.step, pool, HOURS)
        sides[_engine_name(threads)] = Side(play, HOURS * size)
    for copy in (False, True):
        for threads in _thread_counts():
            vector = vm.MarketVectorEnv(size, scenario, learner=0, copy=copy, threads=threads)
            sides[vector_name(threads, copy)] = Side(
                autoreset_day(vector.reset, vector.step, learners, HOURS), HOURS * size
            )
    all_agents, learner = NumbaBatch(fleet, size), NumbaBatch(fleet, size, learner=0)
    sides[NUMBA_ALL] = Side(episodes(all_agents.reset, all_agents.step, pool, HOURS), HOURS * size)
    one_each = [actions[:, None] for actions in learners]
    sides[NUMBA_ONE] = Side(episodes(learner.reset, learner.step, one_each, HOURS), HOURS * size)
    # Any engine writes as many bytes as its siblings with other threads.
    sides[COPY_ALL] = Side(copy_of_outputs(engine), size)
    sides[COPY_ONE] = Side(copy_of_outputs(vector.engine), size)
    if size <= plan.python_envs:
        sync = SyncVectorEnv([lambda: vm.MarketEnv(scenario)] * size)
        envs = [PythonEnv(fleet) for _ in range(size)]
        if size <= WHOLE_DAYS:
            sides[SYNC] = Side(autoreset_day(sync.reset, sync.step, learners, HOURS), HOURS * size)
            sides[PYTHON] = Side(_one_by_one(envs, learners, HOURS), HOURS * size)
        else:
            hours = max(1, HOURS * WHOLE_DAYS // size)
            sync.reset()
            sides[SYNC] = Side(episodes(lambda: None, sync.step, learners, hours), hours * size)
            sides[PYTHON] = Side(_one_by_one(envs, learners, hours), hours * size)
    return sides


def _one_by_one(envs: Sequence[PythonEnv], pool: list[NDArray[np.float32]], hours: int) -> Callable[[], None]:
    """Return a call that plays the next hours of every environment, which resets as its day ends."""
    for env in envs:
        env.reset()

    def step(actions: NDArray[np.float32]) -> None:
        for env, action in zip(envs, actions, strict=True):
            _, _, terminated, _, _ = env.step(action)
            if terminated:
                env.reset()

    return episodes(lambda: None, step, pool, hours)


def _thread_counts() -> list[int]:
    return sorted({1, 2, cores()})


def _engine_name(threads: int) -> str:
    return f"Engine.step, {threads_name(threads)}"


def vector_name(threads: int, copy: bool) -> str:
    return f"MarketVectorEnv, copy={copy}, {threads_name(threads)}"


def _how(draw: str) -> str:
    return "from a standard normal" if draw == "normal" else "uniformly from the box"


def _per_second(timings: Timings) -> dict[str, float]:
    return {name: 1e9 / timings.median(name) for name in timings.nanoseconds}
