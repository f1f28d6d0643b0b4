"""One environment's whole step: numba clears; bids, settlement and observations are NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.baselines.fleet import FEATURES, Fleet
from bench.baselines.numba_clear import clear


class PythonStep:
    """One market in which every agent acts; attributes as in `numba_batch.NumbaBatch` without N."""

    def __init__(self, fleet: Fleet, *, seed: int = 0) -> None:
        units = fleet.capacities.size
        self.fleet = fleet
        self.observations = np.empty((units, FEATURES), np.float32)
        self.observations[:, 1] = fleet.capacities / fleet.capacity_scale
        self.observations[:, 2] = fleet.costs / fleet.cost_scale
        self.rewards = np.empty(units, np.float32)
        self.dispatch = np.empty(units)
        self.price = self.demand = self.next_demand = 0.0
        self.terminated = self.truncated = False
        self.clock = 0
        self.random = np.random.default_rng(seed)

    def reset(self) -> NDArray[np.float32]:
        self.clock = 0
        self._observe()
        return self.observations

    def step(self, actions: NDArray[np.float32]) -> None:
        """Play one hour with actions (G, 2)."""
        fleet = self.fleet
        withheld = np.minimum(np.maximum(actions[:, 0], 0.0), 1.0)
        quantities = (1.0 - withheld) * fleet.capacities
        markups = np.tanh(actions[:, 1]) * fleet.max_bid_delta
        self.demand = self.next_demand
        self.price, self.dispatch, unserved = clear(fleet.costs + markups, quantities, self.demand)
        profits = (self.price - fleet.costs) * self.dispatch
        penalties = fleet.bid_penalty * (markups * markups) + fleet.unserved_penalty * unserved
        self.rewards[:] = fleet.reward_scale * (profits - penalties)
        self.clock += 1
        self.terminated = self.clock >= fleet.horizon
        self._observe()

    def _observe(self) -> None:
        fleet = self.fleet
        noise = fleet.noise_sd * self.random.standard_normal()
        noise = min(max(noise, fleet.noise_low), fleet.noise_high)
        self.next_demand = float(fleet.base_demand[self.clock]) + noise
        self.observations[:, 0] = self.next_demand / fleet.demand_scale
        self.observations[:, 3:] = fleet.time_features[self.clock]
