"""What an agent sees, section 2.6 of ``docs/market.md``: named features, one row per agent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from oracle.market import Market

PRESETS = {
    "basic": ("demand", "capacity", "rival_costs", "rival_capacities"),
    "simple": ("demand", "capacity", "cost", "hour"),
    "simple_v2": ("demand", "capacity", "cost", "hour", "weekday"),
    "simple_v3": ("demand", "capacity", "cost", "hour_sin_cos", "weekday_sin_cos"),
}


def observe(market: Market) -> NDArray[np.float32]:
    """Return the observations of all agents, (G, F) float32."""
    rows = []
    for i in range(len(market.capacities)):
        row: list[float] = []
        for name in market.features:
            row.extend(feature(market, name, i))
        rows.append(row)
    return np.array(rows, dtype=np.float32)


def feature(market: Market, name: str, i: int) -> list[float]:
    """Return the numbers that one feature shows to agent i."""
    rivals = [j for j in range(len(market.capacities)) if j != i]
    t = market.start + market.t + market.scenario.demand.first_hour
    name, _, argument = name.partition(":")
    match name:
        case "demand":
            return [market.demand() / market.demand_scale]
        case "capacity":
            return [market.capacities[i] / market.capacity_scale]
        case "cost":
            return [market.srmc[i] / market.cost_scale]
        case "rival_costs":
            return [market.srmc[j] / market.cost_scale for j in rivals]
        case "rival_capacities":
            return [market.capacities[j] / market.capacity_scale for j in rivals]
        case "hour":
            return [(t % 24) / 24]
        case "weekday":
            return [((t // 24) % 7) / 7]
        case "hour_sin_cos":
            angle = 2 * math.pi * (t % 24) / 24
            return [math.sin(angle), math.cos(angle)]
        case "weekday_sin_cos":
            angle = 2 * math.pi * ((t // 24) % 7) / 7
            return [math.sin(angle), math.cos(angle)]
        case "last_price":
            return [market.last_price / market.cost_scale]
        case "last_dispatch":
            return [market.last_dispatch[i] / market.capacity_scale]
        case "demand_forecast":
            hours = range(1, int(argument) + 1)
            return [market.base_demand(ahead=k) / market.demand_scale for k in hours]
        case "residual_demand":
            others = sum(market.capacities[j] * market.availability(j) for j in rivals)
            return [(market.demand() - others) / market.demand_scale]
        case "availability":
            return [market.availability(i)]
        case "rival_offers":
            prices = [market.last_offer_prices[j] / market.cost_scale for j in rivals]
            quantities = [market.last_offer_quantities[j] / market.capacity_scale for j in rivals]
            return prices + quantities
    raise ValueError(f"unknown feature {name!r}")
