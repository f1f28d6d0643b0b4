"""The observations alone, for two presets: by one numba kernel, and in plain Python for each environment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.baselines.fleet import Fleet
from bench.baselines.jit import njit

PRESETS = ("simple_v3", "basic")


class NumbaObserver:
    """Writes the observations (N, G, F) of N environments in one call, every number of every row."""

    def __init__(self, fleet: Fleet, preset: str, num_envs: int) -> None:
        rows = PythonObserver(fleet, preset).observe(0.0, 0)
        self.constants = np.array(rows)  # (G, F); demand and time are written over
        self.fleet = fleet
        self.kernel = _observe_simple_v3 if preset == "simple_v3" else _observe_basic
        self.observations = np.empty((num_envs, *self.constants.shape), np.float32)

    def observe(self, demand: NDArray[np.float64], clock: NDArray[np.int64]) -> NDArray[np.float32]:
        """Observe the coming demand (N,) in MW at the step (N,) of the episode."""
        self.kernel(self.fleet, self.constants, demand, clock, self.observations)
        return self.observations


class PythonObserver:
    """Builds one environment's observations the usual way: a list and an array for each agent."""

    def __init__(self, fleet: Fleet, preset: str) -> None:
        if preset not in PRESETS:
            raise ValueError(f"preset: must be one of {', '.join(PRESETS)}, got {preset!r}")
        self.fleet = fleet
        self.preset = preset
        self.capacities: list[float] = (fleet.capacities / fleet.capacity_scale).tolist()
        self.costs: list[float] = (fleet.costs / fleet.cost_scale).tolist()

    def observe(self, demand: float, clock: int) -> list[NDArray[np.float32]]:
        """Return the row (F,) of every agent for the coming demand in MW at this step of the episode."""
        first = demand / self.fleet.demand_scale
        capacities, costs = self.capacities, self.costs
        if self.preset == "basic":
            return [
                np.array(
                    [
                        first,
                        capacity,
                        *costs[:i],
                        *costs[i + 1 :],
                        *capacities[:i],
                        *capacities[i + 1 :],
                    ],
                    np.float32,
                )
                for i, capacity in enumerate(capacities)
            ]
        times = self.fleet.time_features[clock].tolist()
        return [
            np.array([first, capacity, cost, *times], np.float32)
            for capacity, cost in zip(capacities, costs, strict=True)
        ]


@njit
def _observe_simple_v3(
    fleet: Fleet,
    constants: NDArray[np.float32],
    demand: NDArray[np.float64],
    clock: NDArray[np.int64],
    observations: NDArray[np.float32],
) -> None:
    times = fleet.time_features
    for n in range(demand.size):
        first, hour = demand[n] / fleet.demand_scale, clock[n]
        # Held in registers: read from the table for each row, they cost twice as much.
        t0, t1, t2, t3 = times[hour, 0], times[hour, 1], times[hour, 2], times[hour, 3]
        for row in range(constants.shape[0]):
            observations[n, row, 0] = first
            observations[n, row, 1] = constants[row, 1]
            observations[n, row, 2] = constants[row, 2]
            observations[n, row, 3] = t0
            observations[n, row, 4] = t1
            observations[n, row, 5] = t2
            observations[n, row, 6] = t3


@njit
def _observe_basic(
    fleet: Fleet,
    constants: NDArray[np.float32],
    demand: NDArray[np.float64],
    clock: NDArray[np.int64],
    observations: NDArray[np.float32],
) -> None:
    for n in range(demand.size):
        first = demand[n] / fleet.demand_scale
        for row in range(constants.shape[0]):
            observations[n, row, 0] = first
            for k in range(1, constants.shape[1]):
                observations[n, row, k] = constants[row, k]
