"""The whole job: every agent of `default` learns its best response to the others, round after round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

import vecmarket as vm
from bench.judge import DAYS, Spread, timed
from bench.methods import NATIVE, SB3_DEFAULTS, Method, trained_by
from bench.report import Table
from bench.solution import seconds, spread
from vecmarket.evaluation import Policy, evaluate_profile

KIND = "whole job"
TITLE = "All agents: rounds of best responses"
WHOLE, UNTIL_NEAR = "whole", "until all are near"  # what the figures are of
NEAR = 0.9  # of the best response's profit


class Rounds(NamedTuple):
    """How much is played.

    In every round each agent learns anew, against what the others learned before; or, together, all learn at
    once in the same markets, each with its own policy, and a round is only how often they are judged.
    """

    rounds: int
    steps: int  # of each agent in each round, over its environments; rounded up to whole updates
    num_envs: int
    together: bool = False

    def __str__(self) -> str:
        steps = self.rounds * self.steps if self.together else self.steps
        count = f"{steps:,} steps".replace(",", " ")
        return f"{count} of each agent, all at once" if self.together else f"{self.rounds} rounds of {count}"


class Job(NamedTuple):
    """What one run has to do."""

    scenario: vm.Scenario
    rounds: Rounds
    seed: int
    threads: int


SHORT, LONG = Rounds(3, 5000, 16), Rounds(20, 30_000, 32, together=True)
WARM_UP = Rounds(1, 1, 8)

Profile: TypeAlias = Sequence[Policy]  # one policy per agent
Standing: TypeAlias = tuple[float, tuple[float, ...]]  # seconds so far, and every agent's nearness


class Kind(NamedTuple):
    """Which runs: those of one method over so many rounds."""

    method: str
    rounds: Rounds


METHODS = (
    Method(
        NATIVE,
        trained_by("own", "play_rounds"),
        "`NativePPO` with `market_ppo()`, all agents of a round as one job (`iterate_together`), the others' "
        "policies played by the engine (`MlpPolicy`); all at once: one `NativePPO` with a policy per agent",
        {},
    ),
    Method(
        SB3_DEFAULTS,
        trained_by("sb3", "play_rounds"),
        "its PPO as it comes, one agent at a time in one `MarketEnv`, the others' policies called by Python",
        {},
        needs="stable_baselines3",
        install="stable-baselines3",
    ),
)


def nearness(scenario: vm.Scenario, profile: Profile) -> tuple[float, ...]:
    """Return each agent's profit over that of its exact best response to the others, (A,).

    An agent whose best response earns nothing is as near as can be where it loses nothing.
    """
    judged = evaluate_profile(scenario, list(profile), episodes=DAYS)
    near = []
    for deviation in judged.deviations:
        own, best = float(deviation.own.mean()), float(deviation.best.mean())
        near.append(own / best if best > 0 else 1.0 if own >= 0 else -math.inf)
    return tuple(near)


def measure(
    methods: Sequence[Method], plan: Mapping[str, Mapping[Rounds, int]], threads: int
) -> dict[Kind, list[list[Standing]]]:
    """Return the standings after every round of every run; `plan` says how many runs of each method."""
    scenario = vm.Scenario.default()
    results: dict[Kind, list[list[Standing]]] = {}
    for method in methods:
        for rounds, runs in plan[method.name].items():
            found = results[Kind(method.name, rounds)] = []
            for seed in range(runs):
                play = partial(method.train, Job(scenario, rounds, seed, threads))
                found.append(timed(play, partial(nearness, scenario)))
                end, near = found[-1][-1]
                print(
                    f"{rounds}, {method.name}, seed {seed}: {seconds(end)} s, nearness "
                    + ", ".join(f"{value:.2f}" for value in near),
                    flush=True,
                )
    return results


def seconds_until_near(standings: Sequence[Standing], near: float = NEAR) -> float:
    """Return the seconds until after a round every agent was near enough; infinity where that never was."""
    return next((spent for spent, values in standings if min(values) >= near), math.inf)


def table(results: Mapping[Kind, Sequence[Sequence[Standing]]]) -> Table:
    """Return the table; its figures hold the medians of the whole time and of that until all are near."""
    rows: list[list[str]] = []
    figures: dict[tuple[str, Rounds, str], float] = {}
    for (method, rounds), runs in results.items():
        whole, until = [run[-1][0] for run in runs], [seconds_until_near(run) for run in runs]
        least = [min(run[-1][1]) for run in runs]
        figures[method, rounds, WHOLE] = Spread.of(whole).median
        figures[method, rounds, UNTIL_NEAR] = Spread.of(until).median
        cells = [str(rounds), method, str(len(runs)), spread(whole, seconds), spread(least, _share)]
        middle = np.median([run[-1][1] for run in runs], axis=0)
        rows.append([*cells, ", ".join(map(_share, middle)), spread(until, seconds)])
    note = (
        "In every round every agent learns from new weights, against the others' policies of the round "
        "before (truthful in the first); or all learn at once in the same markets, and are judged twenty "
        "times on the way. Nearness is an agent's profit over that of its exact best response "
        f"to the others' policies as they then are, on the {DAYS} days. Median (least to most) over runs. "
        f"All are near where each has {NEAR:.0%}, which is asked after every round."
    )
    header = [
        "run",
        "method",
        "runs",
        "seconds",
        "least nearness at the end",
        "of every agent",
        "all near, s",
    ]
    return Table(TITLE, note, header, rows, kind=KIND, figures=figures)


def _share(value: float) -> str:
    return f"{value:.0%}"
