"""How much of what an agent can gain a policy has, and how long a run took to get there."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

import vecmarket as vm
from vecmarket.evaluation import Episodes, Play, Policy, best_replies, play, truthful

Shown = TypeVar("Shown")
Verdict = TypeVar("Verdict")
DAYS = 512  # of every evaluation, always the same


class Shares(NamedTuple):
    """A policy's gain over truthful bidding, as a share of what the exact best response gains."""

    profit: float
    reward: float  # of the gain in reward, whose best response is another one


class Point(NamedTuple):
    """A run at one moment: seconds of training so far, and what its policy was then worth."""

    seconds: float
    shares: Shares


Course: TypeAlias = Sequence[Point]  # of one run, in the order of time
Look: TypeAlias = Callable[
    [Policy], None
]  # what a run calls with its deterministic policy after every update


class Judge:
    """Judges policies of one agent, rivals truthful, always on the same days.

    The best response is found on those days too, by `best_replies`: hour by hour, knowing the hour's demand.
    A policy that sees only its observation cannot quite reach it.
    """

    def __init__(self, scenario: vm.Scenario, agent: int) -> None:
        self.episodes = Episodes.fixed(scenario, agent, episodes=DAYS)
        honest = play(self.episodes, truthful)
        by_profit, by_reward = best_replies(self.episodes, honest)
        self.honest = Shares(*_means(honest))
        self.best = Shares(_means(by_profit).profit, _means(by_reward).reward)
        if not all(best > honest for best, honest in zip(self.best, self.honest, strict=True)):
            raise ValueError(f"agent: {agent} has nothing to gain over truthful bidding")

    def __call__(self, policy: Policy) -> Shares:
        """Return the shares of a policy: 0 is what truthful bidding earns, 1 the most that can be had."""
        found = zip(_means(play(self.episodes, policy)), self.honest, self.best, strict=True)
        return Shares(*((own - honest) / (best - honest) for own, honest, best in found))


def _means(played: Play) -> Shares:
    return Shares(float(np.mean(played.profit)), float(np.mean(played.reward)))


def follow(
    train: Callable[[Look], None],
    judge: Callable[[Policy], Shares],
    clock: Callable[[], float] = time.perf_counter,
) -> list[Point]:
    """Return the course of a run that `train` makes; the clock stands still while its policy is judged."""
    return [Point(*at) for at in timed(train, judge, clock)]


def timed(
    train: Callable[[Callable[[Shown], None]], None],
    judge: Callable[[Shown], Verdict],
    clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[float, Verdict]]:
    """Return seconds of training and verdict for everything that `train` shows on its way."""
    found: list[tuple[float, Verdict]] = []
    spent = started = 0.0

    def look(shown: Shown) -> None:
        nonlocal spent, started
        spent += clock() - started
        found.append((spent, judge(shown)))
        started = clock()

    gc.collect()
    started = clock()
    train(look)
    return found


def seconds_until(course: Course, share: float, measure: str = "profit") -> float:
    """Return the seconds until a share was first reached; infinity where it never was."""
    return next((at.seconds for at in course if getattr(at.shares, measure) >= share), math.inf)


class Spread(NamedTuple):
    """The middle one and the extremes of some runs' values, of which infinity is one."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))
