"""Small markets whose outcomes can be worked out on paper."""

from __future__ import annotations

import math

import numpy as np

import vecmarket as vm
from vecmarket.evaluation import Policy


def one_hour(
    units: list[tuple[float, float]], demand: float, *, reach: float = 50.0, **rules: str
) -> vm.Scenario:
    """One hour of a market; units are (capacity MW, SRMC $/MWh), rewards plain profit."""
    return vm.Scenario(
        generators=tuple(vm.Generator(mw, srmc) for mw, srmc in units),
        demand=vm.Demand((demand,)),
        horizon=1,
        rules=vm.MarketRules(**rules),
        bidding=vm.Bidding(max_bid_delta=reach),
        reward=vm.Reward(bid_penalty=0.0, unserved_penalty=0.0, scale=1.0),
        name="one-hour",
    )


def offer(markup: float, *, withheld: float = 0.0, reach: float = 50.0) -> Policy:
    """Always offer at SRMC plus a markup, $/MWh."""
    action = np.array([withheld, math.atanh(markup / reach)], np.float32)
    return lambda observations: np.tile(action, (len(observations), 1))
