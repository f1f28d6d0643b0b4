"""Scenarios and actions that several tests share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import vecmarket as vm
from vecmarket import _core

Actions = NDArray[np.float32]

EVERYTHING_SEEN = tuple(name.replace("<hours>", "3") for name in _core.names()["observation_features"])


def lively(horizon: int = 6) -> vm.Scenario:
    """Return a market in which everything that can vary between environments and episodes does."""
    hours = 24 * 12
    series = 60 + 30 * np.sin(np.arange(hours) / 4)
    half_of_the_time = tuple(np.where(np.arange(hours) % 3 == 0, 0.5, 1.0).tolist())
    return vm.Scenario(
        generators=(
            vm.Generator(vm.Uniform(20.0, 60.0), 20.0, "wind", availability=half_of_the_time),
            vm.Generator(40.0, vm.Choice((20.0, 25.0)), "coal"),
            vm.Generator(vm.Choice((30.0, 40.0)), 20.0, "gas"),
            vm.Generator(30.0, vm.Normal(40.0, 10.0, 20.0, 60.0), "oil"),
        ),
        demand=vm.Demand(tuple(series.tolist()), noise=0.1, factor=vm.Uniform(0.8, 1.1), first_hour=30),
        horizon=horizon,
        rules=vm.MarketRules(tie_break="random", price_floor=-20.0, price_cap=vm.Choice((80.0, 100.0))),
        observation=EVERYTHING_SEEN,
        episode_start="random_day",
        days=(0, 2, 3, 5, 9, 11),
    )


def still(
    capacity: list[float],
    srmc: list[float],
    demand: list[float],
    *,
    rules: vm.MarketRules | None = None,
    max_bid_delta: float = 50.0,
    **options: object,
) -> vm.Scenario:
    """Return a plain market without noise that pays plain $, for outcomes that can be worked out by hand."""
    return vm.Scenario(
        generators=tuple(vm.Generator(k, c) for k, c in zip(capacity, srmc, strict=True)),
        demand=vm.Demand(tuple(demand)),
        horizon=len(demand),
        rules=rules or vm.MarketRules(),
        bidding=vm.Bidding(max_bid_delta=max_bid_delta),
        reward=vm.Reward(bid_penalty=0.0, unserved_penalty=0.0, scale=1.0),
    ).replace(**options)


def noisy(envs: int, agents: int, steps: int = 1, seed: int = 0) -> Actions:
    """Return actions (steps, N, A, 2) float32 that bid truthfully now and then, so that offers tie."""
    random = np.random.default_rng(seed)
    actions = random.uniform((0.0, -1.0), (0.6, 1.0), size=(steps, envs, agents, 2)).astype(np.float32)
    actions[random.random((steps, envs, agents)) < 0.3] = 0.0
    return actions


def truthful(envs: int, agents: int) -> Actions:
    return np.zeros((envs, agents, 2), dtype=np.float32)
