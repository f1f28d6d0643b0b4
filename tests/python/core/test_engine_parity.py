"""Whole episodes of the engine against the oracle: every number that a step shows.

Tolerances: 1e-12 of the market's size for MW, $/MWh and $ (the oracle takes tanh and the normal quantile from
other libraries), and one unit in the last place of float32 for observations and rewards.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import vecmarket as vm
from core.scenes import lively
from core.strategies import random_actions, scenarios
from oracle import REWARD_TERMS, Market, Step
from oracle.rng import largest
from vecmarket import _core

Values = float | list[float] | NDArray[np.float64] | NDArray[np.float32]

RELATIVE = 1e-12
FLOAT32 = 2.0**-23


def close(actual: Values, expected: Values, size: float, what: str) -> None:
    np.testing.assert_allclose(actual, expected, rtol=RELATIVE, atol=RELATIVE * size, err_msg=what)


def close32(actual: Values, expected: Values, size: float, what: str) -> None:
    np.testing.assert_allclose(actual, expected, rtol=FLOAT32, atol=RELATIVE * size, err_msg=what)


def size_of(scenario: vm.Scenario) -> tuple[float, float]:
    """Return what is large in this market: MW, $/MWh."""
    capacity = sum(largest(g.capacity_mw) for g in scenario.generators)
    peak = max(abs(d) for d in scenario.demand.series_mw) * largest(scenario.demand.factor)
    cost = max(abs(largest(g.srmc)) for g in scenario.generators)
    return capacity + peak + 1.0, cost + largest(scenario.bidding.max_bid_delta) + 1.0


def compare_step(engine: vm.Engine, n: int, step: Step, scenario: vm.Scenario) -> None:
    mw, dollars = size_of(scenario)
    offer_prices, offer_quantities = engine.offers()
    close(engine.demand[n], step.demand, mw, "demand")
    close(offer_prices[n], step.offer_prices, dollars, "offer prices")
    close(offer_quantities[n], step.offer_quantities, mw, "offer quantities")
    close(engine.prices[n], step.cleared.price, dollars, "price")
    close(engine.dispatch[n], step.cleared.dispatch, mw, "dispatch")
    close(engine.unserved[n], step.cleared.unserved, mw, "unserved")
    close(engine.profits[n], step.profits, mw * dollars, "profits")
    close32(engine.rewards[n], step.rewards, mw * dollars + dollars**2, "rewards")
    close32(engine.observations[n], step.observations, 1 + dollars, "observations")
    assert (engine.terminated[n], engine.truncated[n]) == (step.terminated, step.truncated)


def play(scenario: vm.Scenario, seed: int, envs: int, episodes: int, random: np.random.Generator) -> None:
    agents = len(scenario.generators)
    engine = vm.Engine(scenario, envs, seed=seed, threads=1)
    engine.keep_offers()
    markets = [Market(scenario, (seed + n) % 2**64) for n in range(envs)]
    low, high = engine.observation_bounds()
    for _ in range(episodes):
        engine.reset()
        first = [market.reset() for market in markets]
        capacities, srmc = engine.fleet()
        for n, market in enumerate(markets):
            close(capacities[n], market.capacities, 1, "capacities")
            close(srmc[n], market.srmc, 1, "srmc")
            close(engine.demand[n], market.demand(), size_of(scenario)[0], "first demand")
            close32(engine.observations[n], first[n], 1, "first observations")
        for actions in random_actions(random, scenario.horizon, envs, agents):
            engine.step(actions)
            for n, market in enumerate(markets):
                compare_step(engine, n, market.step(actions[n]), scenario)
            assert (engine.observations >= low).all()
            assert (engine.observations <= high).all()
        t, hour, episode = engine.clock()
        assert t.tolist() == [scenario.horizon] * envs
        assert hour.tolist() == [market.start + market.t for market in markets]
        assert episode.tolist() == [market.episode for market in markets]


@settings(max_examples=250)
@given(scenarios(), st.integers(0, 2**64 - 1), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_episodes_of_any_scenario(scenario: vm.Scenario, seed: int, envs: int, random_seed: int) -> None:
    play(scenario, seed, envs, 2, np.random.default_rng(random_seed))


@settings(max_examples=15)
@given(st.integers(20, 200), st.integers(0, 2**32 - 1), st.sampled_from(("pro_rata", "index", "random")))
def test_episodes_of_large_fleets(size: int, seed: int, tie_break: str) -> None:
    random = np.random.default_rng(seed)
    capacity = random.integers(0, 30, size=size)
    cost = random.integers(-5, 60, size=size)
    series = random.integers(-10, capacity.sum() + 20, size=30)
    scenario = vm.Scenario(
        generators=tuple(vm.Generator(float(k), float(c)) for k, c in zip(capacity, cost, strict=True)),
        demand=vm.Demand(tuple(series.tolist())),
        horizon=4,
        rules=vm.MarketRules(tie_break=tie_break, price_cap=65.0),
        episode_start="random",
        observation=("demand", "residual_demand", "last_dispatch", "rival_offers"),
    )
    play(scenario, seed, 2, 2, random)


def test_a_market_in_which_everything_varies() -> None:
    play(lively(), 2**63 + 17, 3, 30, np.random.default_rng(0))


def test_the_shipped_markets() -> None:
    for scenario in (vm.Scenario.default(), vm.Scenario.competitive(), vm.Scenario.ieee_rts()):
        play(scenario, 42, 2, 3, np.random.default_rng(1))


def test_rivals_that_the_engine_plays() -> None:
    """Truthful rivals and fixed markups bid inside floor and cap; only the acting agents see and earn."""
    scenario = lively()
    seats: list[str | float] = [7.5, "acts", "truthful", "acts"]
    acting = [1, 3]
    envs, random = 4, np.random.default_rng(3)
    engine = _core.Engine(scenario, envs, seed=9, threads=1, seats=seats)
    engine.keep_offers()
    markets = [Market(scenario, 9 + n, seats) for n in range(envs)]
    mw, dollars = size_of(scenario)
    assert engine.acting == acting
    for _ in range(10):
        engine.reset()
        for market in markets:
            market.reset()
        for actions in random_actions(random, scenario.horizon, envs, 4):
            observations, rewards, _, _ = engine.step(actions[:, acting].copy())
            for n, market in enumerate(markets):
                step = market.step(actions[n])
                close32(observations[n], step.observations[acting], 1 + dollars, "observations")
                close32(rewards[n], step.rewards[acting], mw * dollars + dollars**2, "rewards")
                close(engine.profits[n], step.profits, mw * dollars, "profits")
                close(engine.dispatch[n], step.cleared.dispatch, mw, "dispatch")


def test_the_strategy_meets_every_corner() -> None:
    """A parity test is worth what its examples are: each corner is met in a share of the steps."""
    met: Counter[str] = Counter()

    @settings(max_examples=80, database=None, derandomize=True)
    @given(scenarios(), st.integers(0, 2**32 - 1))
    def count(scenario: vm.Scenario, seed: int) -> None:
        market = Market(scenario, seed)
        market.reset()
        random = np.random.default_rng(seed)
        for actions in random_actions(random, scenario.horizon, 1, len(scenario.generators)):
            tally(met, market, market.step(actions[0]))

    count()
    least = {"tie": 0.02, "kink": 0.01, "shortage": 0.1, "no demand": 0.05, "nothing offered": 0.02}
    least |= {"negative offer": 0.1, "zero quantity": 0.2, "at a bound": 0.05, "noise": 0.02}
    shares = {corner: met[corner] / met["steps"] for corner in least}
    assert {corner for corner in least if shares[corner] < least[corner]} == set(), shares


def tally(met: Counter[str], market: Market, step: Step) -> None:
    offered = step.offer_quantities > 0
    prices, supply = step.offer_prices, step.offer_quantities.sum()
    marginal = step.cleared.marginal
    met["steps"] += 1
    met["no demand"] += step.demand <= 0
    met["nothing offered"] += not offered.any()
    met["shortage"] += 0 <= supply < step.demand - 1e-6
    met["zero quantity"] += bool((~offered).any())
    met["negative offer"] += bool((prices < 0).any())
    met["at a bound"] += bool(np.isin(prices, [x for x in (market.floor, market.cap) if x is not None]).any())
    met["noise"] += step.demand % 0.25 != 0
    if marginal >= 0 and step.cleared.unserved == 0:
        met["tie"] += int((prices[offered] == prices[marginal]).sum()) > 1
        cheaper = step.offer_quantities[prices <= prices[marginal]].sum()
        met["kink"] += bool(abs(cheaper - step.demand) < 1e-9)


def test_the_oracle_has_the_cores_reward_terms_in_its_order() -> None:
    """The order matters: a weight that is a distribution is drawn from the slot of its place."""
    assert list(REWARD_TERMS) == _core.names()["reward_terms"]
