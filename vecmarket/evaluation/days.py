"""Which days train and which days judge: a split that no setting and no seed moves.

A series of at least seven blocks gives every 7th block to evaluation, and training leaves these out. A
block is the smallest number of whole weeks that holds an episode, one week for the usual day of 24 hours. A
shorter series, or a scenario whose episodes always start at the first hour, has one window for both.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from vecmarket.config import Choice, Normal, Uniform

if TYPE_CHECKING:
    from vecmarket.config import Scenario

__all__ = ["draws_anything", "evaluation_days", "evaluation_seeds", "training_days"]

HOLD_OUT_EVERY = 7
"""Every 7th week is held out; 7 and 52 have no common factor, so that all seasons are among them."""

EVALUATION_STREAM = 0x766D6576
"""Sets the seeds of evaluation apart from those of training, whatever the run's seed is."""


def training_days(scenario: Scenario) -> tuple[int, ...] | None:
    """Return the days on which training episodes may start, or None where the scenario has no held-out days.

    Parameters
    ----------
    scenario
        The market game. Its own `days`, where given, are split; they are not widened.

    Returns
    -------
    tuple of int or None
        Days of the series, 0 = the first, from which no episode reaches into a held-out week.
    """
    split = _split(scenario)
    return None if split is None else split[0]


def evaluation_days(scenario: Scenario) -> tuple[int, ...]:
    """Return the days that evaluation plays: all days of every 7th week that can hold an episode.

    A scenario without held-out days gives the days that it plays anyway, or day 0 for a fixed first hour.
    """
    split = _split(scenario)
    return _playable(scenario) if split is None else split[1]


def evaluation_seeds(episodes: int, seed: int = 0) -> list[int]:
    """Return one environment seed per evaluation episode, from a stream of its own.

    The same for every training run: they depend on `seed`, the evaluation seed, alone.
    """
    state = np.random.SeedSequence([EVALUATION_STREAM, seed]).generate_state(episodes, np.uint64)
    return [int(s) for s in state >> np.uint64(1)]


def draws_anything(scenario: Scenario) -> bool:
    """Tell whether two episodes from one hour can differ: noise, a distribution, ties broken at random."""
    return scenario.demand.noise != 0 or scenario.rules.tie_break == "random" or _has_distribution(scenario)


def _split(scenario: Scenario) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    if scenario.episode_start == "first":
        return None
    block = 7 * math.ceil(scenario.horizon / (7 * 24))  # days
    # An episode that starts at any hour of its day reaches up to 23 hours further than one from midnight.
    reach = math.ceil((scenario.horizon + (23 if scenario.episode_start == "random" else 0)) / 24)
    length = math.ceil(scenario.horizon / 24)

    def held_out(day: int) -> bool:
        return day // block % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1

    days = _playable(scenario)
    train = tuple(d for d in days if not any(held_out(d + i) for i in range(reach)))
    judge = tuple(d for d in days if all(held_out(d + i) for i in range(length)))
    return (train, judge) if train and judge else None


def _playable(scenario: Scenario) -> tuple[int, ...]:
    """Return the days from whose first hour the series holds an episode."""
    if scenario.episode_start == "first":
        return (0,)
    last = (len(scenario.demand.series_mw) - scenario.horizon) // 24
    days = range(last + 1) if scenario.days is None else scenario.days
    return tuple(d for d in days if 0 <= d <= last)


def _has_distribution(value: Any) -> bool:
    if isinstance(value, Uniform | Normal | Choice):
        return True
    if dataclasses.is_dataclass(value):
        return any(_has_distribution(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, dict):
        return any(_has_distribution(v) for v in value.values())
    # A fleet is a tuple of generators; a series is a tuple of plain numbers, told by its first entry.
    return (
        isinstance(value, tuple)
        and bool(value)
        and dataclasses.is_dataclass(value[0])
        and any(_has_distribution(v) for v in value)
    )
