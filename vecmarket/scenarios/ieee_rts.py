"""The IEEE Reliability Test System of 1979: 32 units, 3405 MW, and a year of 52 weeks of load.

Sources: IEEE RTS Task Force, "IEEE Reliability Test System", IEEE Transactions on Power Apparatus and Systems
PAS-98 (6), 1979, for units and load; the cost curves are those of MATPOWER's ``case24_ieee_rts``. The figures
stand in ``data/ieee_rts.toml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vecmarket.checks import real_number
from vecmarket.config import Demand, Generator, Scenario
from vecmarket.scenarios.toml import parse

__all__ = ["ieee_rts"]

_WEEKDAYS, _WEEKEND_DAYS = 5, 2  # a week starts on Monday


def ieee_rts(
    *,
    peak_mw: float = 2850.0,
    horizon: int = 24,
    days: Sequence[int] | None = None,
    episode_start: str = "random_day",
    name: str = "ieee-rts",
    **fields: Any,
) -> Scenario:
    """Return the IEEE Reliability Test System: an episode is one day of the year, drawn at random, no noise.

    Every unit offers one block of its whole capacity, at its marginal cost at full load,
    ``2 a Pmax + b`` $/MWh, of the cost curve ``a p**2 + b p + c`` $/h.

    Parameters
    ----------
    peak_mw
        Load in the year's highest hour, MW; the other 8735 hours keep their share of it.
    horizon
        Steps in one episode, hours.
    days
        Days of the year, 0 to 363, on which episodes may start; None for all. Day 0 is the Monday of week 1.
    episode_start, name
        Where in the year an episode starts, and the scenario's label.
    **fields
        Further fields of `Scenario`, such as ``rules`` or ``reward``.

    Raises
    ------
    ValueError, TypeError
        When a value cannot be used; the message names its field.
    """
    peak_mw = real_number("peak_mw", peak_mw)
    if peak_mw <= 0:
        raise ValueError(f"peak_mw: must be a positive number of MW, got {peak_mw}")
    figures = _figures()
    load_mw = peak_mw * _load_shares(figures["load"])
    return Scenario(
        generators=_fleet(figures["units"]),
        demand=Demand(tuple(load_mw.tolist())),
        horizon=horizon,
        days=cast("tuple[int, ...] | None", days),  # the scenario makes it one
        episode_start=episode_start,
        name=name,
        **fields,
    )


@cache
def _figures() -> dict[str, Any]:
    source = resources.files("vecmarket.scenarios") / "data" / "ieee_rts.toml"
    return parse(source.read_bytes(), source.name)


def _fleet(groups: Sequence[dict[str, Any]]) -> tuple[Generator, ...]:
    """Return the units as ``U12_1``, ``U12_2``, ...: the group by its size, and the unit's number in it."""
    return tuple(
        Generator(
            capacity_mw=float(group["pmax_mw"]),
            srmc=2.0 * group["a"] * group["pmax_mw"] + group["b"],
            name=f"{group['group']}_{number}",
        )
        for group in groups
        for number in range(1, group["count"] + 1)
    )


def _load_shares(load: dict[str, Any]) -> NDArray[np.float64]:
    """Return every hour's load as a share of the annual peak: weekly, daily and hourly shares multiplied.

    Returns
    -------
    ndarray
        Shares in (0, 1], shape (52 * 7 * 24,) = (8736,).
    """
    weekly = np.array(load["weekly_percent"]) / 100.0  # (52,)
    daily = np.array(load["daily_percent"]) / 100.0  # (7,)
    hourly = {
        season: np.vstack([[profile["weekday"]] * _WEEKDAYS, [profile["weekend"]] * _WEEKEND_DAYS]) / 100.0
        for season, profile in load["hourly_percent"].items()
    }  # (7, 24) each
    by_week = np.stack([hourly[_season(week, load["season_weeks"])] for week in range(1, len(weekly) + 1)])
    shares = weekly[:, None, None] * daily[None, :, None] * by_week  # (52, 7, 24)
    return np.asarray(shares.ravel(), dtype=np.float64)


def _season(week: int, season_weeks: dict[str, list[list[int]]]) -> str:
    """Return the season of a week (1 to 52), given the first and last weeks of every season's spans."""
    return next(
        season
        for season, spans in season_weeks.items()
        if any(first <= week <= last for first, last in spans)
    )
