"""What a run measures, and the random inputs that all tables share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.baselines.fleet import Fleet
from bench.measure import Effort

POOL_BYTES = 256 << 20


class Plan(NamedTuple):
    """Sizes and effort of one run."""

    effort: Effort
    generators: tuple[int, ...]  # G of the clearing and observer tables
    step_generators: tuple[int, ...]  # G of the step table
    markets: int  # different markets in a batch; few of them would fit a branch predictor
    batch_sizes: tuple[int, ...]  # N of the throughput table
    sizes: tuple[tuple[int, tuple[int, ...]], ...]  # N for each G of the tables over N and over threads
    advance_sizes: tuple[int, ...]  # N of the table of several steps in one call
    fleet_envs: int  # N of the table of larger fleets
    torch_sizes: tuple[int, ...]  # N of the table beside torch
    training_sizes: tuple[int, ...]  # N of the table of training
    batched_sizes: tuple[tuple[int, int], ...]  # (agents, N) of the table of several agents
    python_envs: int  # most environments that the Python sides of the throughput table step
    draws: tuple[str, ...]  # distributions of the price parameter
    figure: Path | None  # where the scaling plot goes


FULL = Plan(
    effort=Effort(rounds=9, seconds=0.03),
    generators=(5, 10, 20, 50, 100),
    step_generators=(5, 10, 20, 50, 100, 1000),
    markets=8192,
    batch_sizes=(1, 8, 64, 512, 4096, 8192, 16384, 65536),
    sizes=((5, (1, 8, 64, 256, 1024, 4096, 16384, 65536)), (100, (64, 256, 1024, 4096, 16384))),
    advance_sizes=(1, 64, 1024, 8192),
    fleet_envs=4096,
    torch_sizes=(1024, 8192),
    training_sizes=(256, 1024),
    batched_sizes=((5, 64), (5, 256), (20, 64), (20, 256)),
    python_envs=16384,
    draws=("normal", "uniform"),
    figure=None,
)

QUICK = Plan(
    effort=Effort(rounds=5, seconds=0.005),
    generators=(5, 20),
    step_generators=(5, 20, 100),
    markets=4096,
    batch_sizes=(1, 64, 1024, 8192),
    sizes=((5, (64, 1024, 4096, 16384)), (100, (64, 1024))),
    advance_sizes=(1, 1024),
    fleet_envs=1024,
    torch_sizes=(8192,),
    training_sizes=(256,),
    batched_sizes=((5, 64),),
    python_envs=64,
    draws=("normal",),
    figure=None,
)


def cores() -> int:
    """Return the processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts(most: int) -> list[int]:
    """Return 1, 2, 4, ... and the number of cores itself; two threads are measured on one core, too."""
    doubled = [1 << power for power in range(most.bit_length()) if 1 << power <= most]
    return sorted({1, 2, *doubled, most})


def threads_name(count: int) -> str:
    """Return "1 thread", "2 threads"."""
    return "1 thread" if count == 1 else f"{count} threads"


def draw_actions(draw: str, num_envs: int, agents: int, steps: int = 24) -> list[NDArray[np.float32]]:
    """Return random actions (N, A, 2) for some steps, fewer when they would take more than POOL_BYTES.

    The withheld share is uniform on [0, 1]; the price parameter is drawn from a standard ``"normal"``, or
    ``"uniform"`` on the box [-10, 10], where tanh saturates 85 % of the draws.
    """
    rng = np.random.default_rng(1)
    steps = max(4, min(steps, POOL_BYTES // (num_envs * agents * 8)))
    pool = []
    for _ in range(steps):
        actions = np.empty((num_envs, agents, 2), np.float32)
        actions[:, :, 0] = rng.random((num_envs, agents), np.float32)
        if draw == "normal":
            actions[:, :, 1] = rng.standard_normal((num_envs, agents), np.float32)
        else:
            actions[:, :, 1] = 20 * rng.random((num_envs, agents), np.float32) - 10
        pool.append(actions)
    return pool


class Markets(NamedTuple):
    """Offers and demand of N different markets."""

    prices: NDArray[np.float64]  # (N, G) $/MWh
    quantities: NDArray[np.float64]  # (N, G) MW
    demand: NDArray[np.float64]  # (N,) MW


def draw_markets(draw: str, fleet: Fleet, num_markets: int) -> Markets:
    """Return what random actions offer in random hours of a scenario, noise on its demand."""
    rng = np.random.default_rng(2)
    actions = draw_actions(draw, num_markets, fleet.costs.size, steps=4)[0].astype(np.float64)
    noise = np.clip(rng.normal(0.0, fleet.noise_sd, num_markets), fleet.noise_low, fleet.noise_high)
    return Markets(
        prices=fleet.costs + np.tanh(actions[:, :, 1]) * fleet.max_bid_delta,
        quantities=(1.0 - actions[:, :, 0]) * fleet.capacities,
        demand=rng.choice(fleet.base_demand, num_markets) + noise,
    )
