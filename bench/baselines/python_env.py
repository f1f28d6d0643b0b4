"""One market as a plain Gymnasium environment: one learner, rivals that act on their own observations.

Written the way such environments usually are: Python lists for the merit order, one observation array and
one policy call for each agent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from bench.baselines.fleet import FEATURES, Fleet

Observation = NDArray[np.float32]
Policy = Callable[[Observation], tuple[float, float]]


def truthful(observation: Observation) -> tuple[float, float]:
    """Offer the whole capacity at cost."""
    return 0.0, 0.0


class PythonEnv(gym.Env[Observation, NDArray[np.float32]]):
    """The market seen by one learner; rivals bid truthfully."""

    def __init__(self, fleet: Fleet, *, learner: int = 0) -> None:
        self.fleet = fleet
        self.learner = learner
        self.rivals: list[Policy] = [truthful] * fleet.capacities.size
        self.capacities: list[float] = fleet.capacities.tolist()
        self.costs: list[float] = fleet.costs.tolist()
        self.base_demand: list[float] = fleet.base_demand.tolist()
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (FEATURES,), np.float32)
        low, high = np.array([0, -10], np.float32), np.array([1, 10], np.float32)
        self.action_space = gym.spaces.Box(low, high)
        self.clock = 0
        self.demand = 0.0
        self.next_demand = 0.0
        self.observations: list[Observation] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock = 0
        self._observe()
        return self.observations[self.learner], {}

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        fleet = self.fleet
        prices, quantities = [], []
        for unit, policy in enumerate(self.rivals):
            withheld, markup = action if unit == self.learner else policy(self.observations[unit])
            prices.append(self.costs[unit] + math.tanh(markup) * fleet.max_bid_delta)
            quantities.append((1.0 - min(max(float(withheld), 0.0), 1.0)) * self.capacities[unit])
        self.demand = self.next_demand
        price, dispatch, unserved = clear(prices, quantities, self.demand)
        profit = (price - self.costs[self.learner]) * dispatch[self.learner]
        markup = prices[self.learner] - self.costs[self.learner]
        penalty = fleet.bid_penalty * markup**2 + fleet.unserved_penalty * unserved
        reward = fleet.reward_scale * (profit - penalty)
        self.clock += 1
        self._observe()
        info = {"price": price, "demand": self.demand, "dispatch": dispatch, "profit": profit}
        return self.observations[self.learner], reward, self.clock >= fleet.horizon, False, info

    def _observe(self) -> None:
        fleet = self.fleet
        noise = min(max(self.np_random.normal(0.0, fleet.noise_sd), fleet.noise_low), fleet.noise_high)
        self.next_demand = self.base_demand[self.clock] + noise
        demand = self.next_demand / fleet.demand_scale
        times = fleet.time_features[self.clock].tolist()
        self.observations = [
            np.array([demand, capacity / fleet.capacity_scale, cost / fleet.cost_scale, *times], np.float32)
            for capacity, cost in zip(self.capacities, self.costs, strict=True)
        ]


def clear(prices: list[float], quantities: list[float], demand: float) -> tuple[float, list[float], float]:
    """Return the clearing price, the dispatch of every offer and the unserved energy."""
    dispatch = [0.0] * len(prices)
    if demand <= 0.0:
        return 0.0, dispatch, 0.0
    order = sorted((unit for unit in range(len(prices)) if quantities[unit] > 0.0), key=prices.__getitem__)
    supply = price = 0.0
    for unit in order:
        price = prices[unit]
        if supply + quantities[unit] >= demand - 1e-9 * max(1.0, demand):
            break
        supply += quantities[unit]
        dispatch[unit] = quantities[unit]
    else:
        return price, dispatch, demand - supply
    tied = [unit for unit in order if prices[unit] == price]
    left = demand - sum(quantities[unit] for unit in order if prices[unit] < price)
    share = min(1.0, left / sum(quantities[unit] for unit in tied))
    for unit in tied:
        dispatch[unit] = share * quantities[unit]
    return price, dispatch, 0.0
