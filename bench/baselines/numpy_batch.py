"""N environments stepped with whole-array NumPy: one argsort for the batch, no compiled code of our own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.baselines.fleet import FEATURES, Fleet


class NumpyBatch:
    """N markets in lockstep in which every agent acts; attributes as in `numba_batch.NumbaBatch`."""

    def __init__(self, fleet: Fleet, num_envs: int, *, seed: int = 0) -> None:
        self.fleet = fleet
        self.observations = np.empty((num_envs, fleet.capacities.size, FEATURES), np.float32)
        self.observations[:, :, 1] = fleet.capacities / fleet.capacity_scale
        self.observations[:, :, 2] = fleet.costs / fleet.cost_scale
        self.rewards = np.empty(self.observations.shape[:2], np.float32)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self.prices = np.empty(num_envs)
        self.demand = np.empty(num_envs)
        self.dispatch = np.empty(self.rewards.shape)
        self.next_demand = np.empty(num_envs)
        self.clock = 0  # the batch starts and ends together
        self.random = np.random.default_rng(seed)

    def reset(self) -> NDArray[np.float32]:
        self.clock = 0
        self._observe()
        return self.observations

    def step(self, actions: NDArray[np.float32]) -> None:
        """Play one hour with actions (N, G, 2)."""
        fleet = self.fleet
        quantities = (1.0 - np.clip(actions[:, :, 0], 0.0, 1.0)) * fleet.capacities
        markups = np.tanh(actions[:, :, 1]) * fleet.max_bid_delta
        self.demand[:] = self.next_demand
        self.prices, self.dispatch, unserved = clear_batch(fleet.costs + markups, quantities, self.demand)
        profits = (self.prices[:, None] - fleet.costs) * self.dispatch
        penalties = fleet.bid_penalty * markups**2 + fleet.unserved_penalty * unserved[:, None]
        self.rewards[:] = fleet.reward_scale * (profits - penalties)
        self.clock += 1
        self.terminated[:] = self.clock >= fleet.horizon
        self._observe()

    def _observe(self) -> None:
        fleet = self.fleet
        noise = fleet.noise_sd * self.random.standard_normal(self.next_demand.size)
        noise = np.clip(noise, fleet.noise_low, fleet.noise_high)
        self.next_demand[:] = fleet.base_demand[self.clock] + noise
        self.observations[:, :, 0] = (self.next_demand / fleet.demand_scale)[:, None]
        self.observations[:, :, 3:] = fleet.time_features[self.clock]


def clear_batch(
    prices: NDArray[np.float64], quantities: NDArray[np.float64], demand: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return price (N,), dispatch (N, G) and unserved energy (N,) of N markets."""
    every = np.arange(demand.size)
    dearest = np.where(quantities > 0.0, prices, -np.inf).max(axis=1)
    order = np.argsort(prices, axis=1)
    supply = np.cumsum(np.take_along_axis(quantities, order, axis=1), axis=1)
    enough = demand - 1e-9 * np.maximum(1.0, np.abs(demand))
    unserved = np.where(supply[:, -1] >= enough, 0.0, demand - supply[:, -1])
    marginal = order[every, np.argmax(supply >= enough[:, None], axis=1)]
    price = np.where(unserved > 0.0, dearest, prices[every, marginal])
    price = np.where((demand > 0.0) & np.isfinite(price), price, 0.0)
    cheaper = np.where(prices < price[:, None], quantities, 0.0)
    tied = np.where(prices == price[:, None], quantities, 0.0)
    offered = tied.sum(axis=1)
    share = np.divide(demand - cheaper.sum(axis=1), offered, out=np.zeros_like(demand), where=offered > 0.0)
    dispatch = cheaper + tied * np.clip(share, 0.0, 1.0)[:, None]
    served = demand > 0.0
    return price, dispatch * served[:, None], unserved * served
