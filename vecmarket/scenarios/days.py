"""Which days train and which days judge: a split that no setting and no seed moves.

A series of at least seven blocks gives every 7th block to evaluation, and training leaves these out. A
block is the smallest number of whole weeks that holds an episode, one week for the usual day of 24 hours. A
shorter series, or a scenario whose episodes always start at the first hour, has one window for both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vecmarket.config import Scenario

__all__ = ["evaluation_days", "training_days"]

HOLD_OUT_EVERY = 7
"""Every 7th week is held out; 7 and 52 have no common factor, so that all seasons are among them."""


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

    A scenario without held-out days gives the days that it plays anyway, one where all episodes start alike.
    """
    split = _split(scenario)
    return _playable(scenario) if split is None else split[1]


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
    """Return the days on which episodes may start and from whose first hour the series holds one."""
    last = (len(scenario.demand.series_mw) - scenario.horizon) // 24
    days = range(last + 1) if scenario.days is None else scenario.days
    playable = tuple(d for d in days if 0 <= d <= last)
    return (min(playable),) if playable and scenario.episode_start == "first" else playable
