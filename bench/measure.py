"""Timing side by side: the sides take turns, so that a slow moment of the machine falls on all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Actions = TypeVar("Actions")


class Side(NamedTuple):
    """One of the things compared: a call, and how many units (environment steps, markets) it does."""

    run: Callable[[], object]
    units: int


class Case(NamedTuple):
    """What a timing was taken of; it tells the tables' rows and the targets' findings apart."""

    draw: str  # of the price parameter
    generators: int
    envs: int

    def __str__(self) -> str:
        return f"{self.draw} draw, G = {self.generators}, N = {self.envs}"


class Effort(NamedTuple):
    """How long to measure."""

    rounds: int  # of turns
    seconds: float  # that a side's turn lasts at least
    patience: float = 10.0  # seconds that a comparison may take; beyond, fewer rounds, but FEWEST at least


FEWEST = 3


@dataclass(frozen=True)
class Timings:
    """What `alternate` measured: nanoseconds per unit, one array of shape (rounds,) for every side."""

    nanoseconds: Mapping[str, NDArray[np.float64]]

    def median(self, side: str) -> float:
        """Return the median cost of a side, nanoseconds per unit."""
        return float(np.median(self.nanoseconds[side]))

    def ratio(self, slow: str, fast: str) -> float:
        """Return how many times as long `slow` takes as `fast`: the median over rounds, pair by pair."""
        return float(np.median(self.nanoseconds[slow] / self.nanoseconds[fast]))

    def only(self, sides: Mapping[str, str]) -> Timings:
        """Return the turns of some sides under other names: {new name: name}."""
        return Timings({new: self.nanoseconds[name] for new, name in sides.items()})


def alternate(sides: Mapping[str, Side], effort: Effort) -> Timings:
    """Time the sides in turns, A B C A B C ..., and return every turn's nanoseconds per unit.

    Each side runs twice before the clock starts (numba compiles then), and in each of its turns as often as
    it takes to fill ``effort.seconds``.
    """
    once = {name: _warm_up(side) / 1e9 for name, side in sides.items()}
    repeats = {name: max(1, round(effort.seconds / seconds)) for name, seconds in once.items()}
    round_seconds = sum(repeats[name] * once[name] for name in sides)
    rounds = max(min(FEWEST, effort.rounds), min(effort.rounds, int(effort.patience / round_seconds)))
    turns: dict[str, list[float]] = {name: [] for name in sides}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, side in sides.items():
                elapsed = _elapsed(side.run, repeats[name])
                turns[name].append(elapsed / (repeats[name] * side.units))
    finally:
        gc.enable()
    return Timings({name: np.array(costs) for name, costs in turns.items()})


def episodes(
    reset: Callable[[], object], step: Callable[[Actions], object], pool: Iterable[Actions], steps: int
) -> Callable[[], None]:
    """Return a call that plays one episode: a reset and `steps` steps, with the next actions of the pool."""
    actions = cycle(list(pool))

    def play() -> None:
        reset()
        for _ in range(steps):
            step(next(actions))

    return play


def autoreset_day(
    reset: Callable[[], object], step: Callable[[Actions], object], pool: Iterable[Actions], hours: int
) -> Callable[[], None]:
    """Return a call that plays a day and the step that resets after it, under next-step autoreset."""
    reset()
    return episodes(lambda: None, step, pool, hours + 1)


def _warm_up(side: Side) -> int:
    side.run()
    return max(1, _elapsed(side.run, 1))


def _elapsed(run: Callable[[], object], times: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(times):
        run()
    return time.perf_counter_ns() - start
