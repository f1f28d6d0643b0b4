"""A scenario as the arrays and plain numbers that every baseline reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vecmarket import Scenario

FEATURES = 7  # of simple_v3: demand, capacity, cost, sine and cosine of the hour and of the weekday
HOURS_A_DAY = 24
DAYS_A_WEEK = 7


class Fleet(NamedTuple):
    """One market's constants. A named tuple, so that numba takes it as it is."""

    capacities: NDArray[np.float64]  # (G,) MW
    costs: NDArray[np.float64]  # (G,) $/MWh
    base_demand: NDArray[np.float64]  # (T + 1,) MW; the last hour twice, for the terminal observation
    time_features: NDArray[np.float32]  # (T + 1, 4)
    horizon: int
    noise_sd: float  # MW
    noise_low: float  # MW
    noise_high: float  # MW
    max_bid_delta: float  # $/MWh
    bid_penalty: float
    unserved_penalty: float
    reward_scale: float
    demand_scale: float  # MW
    capacity_scale: float  # MW
    cost_scale: float  # $/MWh


def fleet_of(scenario: Scenario) -> Fleet:
    """Return the constants of a scenario of plain numbers whose one episode plays the whole series."""
    horizon = scenario.horizon
    base = np.array(scenario.demand.series_mw)
    if base.size != horizon:
        raise ValueError(
            f"demand.series_mw: the baselines play all of it, got {base.size} for {horizon} steps"
        )
    capacities = np.array([_plain(unit.capacity_mw) for unit in scenario.generators])
    costs = np.array([_plain(unit.srmc) for unit in scenario.generators])
    demand_scale, capacity_scale, cost_scale = (_scale(x) for x in (base, capacities, costs))
    hours = np.minimum(np.arange(horizon + 1), horizon) + scenario.demand.first_hour
    return Fleet(
        capacities=capacities,
        costs=costs,
        base_demand=np.append(base, base[-1]),
        time_features=_time_features(hours),
        horizon=horizon,
        noise_sd=_plain(scenario.demand.noise) * demand_scale,
        noise_low=-0.5 * max(0.0, float(base.min())),
        noise_high=0.5 * max(0.0, float(capacities.sum() - base.max())),
        max_bid_delta=_plain(scenario.bidding.max_bid_delta),
        bid_penalty=_plain(scenario.reward.bid_penalty),
        unserved_penalty=_plain(scenario.reward.unserved_penalty),
        reward_scale=20.0 / (demand_scale * cost_scale * max(1, horizon)),
        demand_scale=demand_scale,
        capacity_scale=capacity_scale,
        cost_scale=cost_scale,
    )


def _plain(number: object) -> float:
    if not isinstance(number, float | int):
        raise ValueError(f"the baselines know plain numbers only, got {number!r}")
    return float(number)


def _scale(values: NDArray[np.float64]) -> float:
    largest = float(values.max())
    return largest if largest > 0 else 1.0


def _time_features(hours: NDArray[np.int64]) -> NDArray[np.float32]:
    hour = 2 * np.pi * (hours % HOURS_A_DAY) / HOURS_A_DAY
    weekday = 2 * np.pi * (hours // HOURS_A_DAY % DAYS_A_WEEK) / DAYS_A_WEEK
    columns = (np.sin(hour), np.cos(hour), np.sin(weekday), np.cos(weekday))
    return np.stack(columns, axis=1).astype(np.float32)
