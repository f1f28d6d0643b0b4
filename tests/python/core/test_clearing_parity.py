"""`vm.clear` against the oracle: prices and marginal units exactly, quantities within 1e-13 of demand."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vecmarket as vm
from core.strategies import Offers, Rows, clear_rows, offers, st_seed
from oracle import Cleared, clear
from oracle.rng import ties_of_row

OF_DEMAND = 1e-13  # quantities: a batch sums supply in the order of places, the oracle in merit order


def oracle_row(market: Offers, n: int, seed: int) -> Cleared:
    rules = market.rules
    return clear(
        market.prices[n].tolist(),
        market.quantities[n].tolist(),
        float(market.demand[n]),
        pricing=rules.pricing,
        kink=rules.kink,
        scarcity=rules.scarcity,
        tie_break=rules.tie_break,
        floor=plain(rules.price_floor),
        cap=plain(rules.price_cap),
        tie_words=ties_of_row(seed, n, market.prices.shape[1]),
    )


def plain(number: vm.Number | None) -> float | None:
    assert number is None or isinstance(number, float | int)
    return number


def compare(market: Offers, result: Rows, seed: int) -> None:
    expected = [oracle_row(market, n, seed) for n in range(len(market.demand))]
    np.testing.assert_array_equal(result.price, [c.price for c in expected])
    np.testing.assert_array_equal(result.marginal, [c.marginal for c in expected])
    np.testing.assert_array_equal(result.curtailed, [c.curtailed for c in expected])
    rounding = OF_DEMAND * np.abs(market.demand)
    assert (np.abs(result.unserved - [c.unserved for c in expected]) <= rounding).all()
    assert (np.abs(result.dispatch - [c.dispatch for c in expected]) <= rounding[:, None]).all()


@settings(max_examples=600)
@given(offers(), st_seed)
def test_a_batch_clears_as_the_oracle_does(market: Offers, seed: int) -> None:
    compare(market, clear_rows(market, seed), seed)


@settings(max_examples=200)
@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.sampled_from(("pro_rata", "index", "random")))
def test_numbers_of_any_size_clear_as_the_oracle_does(size: int, seed: int, tie_break: str) -> None:
    random = np.random.default_rng(seed)
    prices = random.normal(40, 30, size=(3, size)).round(random.integers(0, 4))
    quantities = np.where(random.random((3, size)) < 0.2, 0.0, random.exponential(100, size=(3, size)))
    demand = quantities.sum(axis=1) * random.uniform(0, 1.2, size=3)
    market = Offers(prices, quantities, demand, vm.MarketRules(tie_break=tie_break))
    compare(market, clear_rows(market, seed), seed)


@settings(max_examples=50)
@given(offers(max_markets=1), st_seed)
def test_one_market_is_a_batch_of_one_without_its_axis(market: Offers, seed: int) -> None:
    batch = clear_rows(market, seed)
    one = vm.clear(
        market.prices[0], market.quantities[0], float(market.demand[0]), rules=market.rules, seed=seed
    )
    assert (
        np.shape(one.price)
        == np.shape(one.unserved)
        == np.shape(one.curtailed)
        == np.shape(one.marginal)
        == ()
    )
    assert one.dispatch.shape == market.prices[0].shape
    assert (one.price, one.unserved, one.curtailed) == (batch.price[0], batch.unserved[0], batch.curtailed[0])
    assert one.marginal == batch.marginal[0]
    assert one.dispatch.tobytes() == batch.dispatch[0].tobytes()


@settings(max_examples=200)
@given(offers(max_markets=20), st.floats(0.01, 1.0))
def test_a_batch_is_its_markets_one_at_a_time(market: Offers, part: float) -> None:
    """Quantities are scaled, so that no sum is exact."""
    if market.rules.tie_break == "random":
        market = market.under(tie_break="index")
    market = dataclasses.replace(market, quantities=market.quantities * part, demand=market.demand * part)
    batch = clear_rows(market)
    for n, demand in enumerate(market.demand.tolist()):
        one = vm.clear(market.prices[n], market.quantities[n], demand, rules=market.rules)
        assert (batch.price[n], batch.marginal[n], batch.curtailed[n]) == (
            one.price,
            one.marginal,
            one.curtailed,
        )
        assert abs(batch.unserved[n] - one.unserved) <= OF_DEMAND * abs(demand)
        assert (np.abs(batch.dispatch[n] - one.dispatch) <= OF_DEMAND * abs(demand)).all()


@pytest.mark.parametrize("tie_break", ["pro_rata", "index", "random"])
def test_thousands_of_rows_clear_as_the_oracle_does(tie_break: str) -> None:
    """Rows are keyed by (seed, row): the last one of a large batch has its own order of ties."""
    random = np.random.default_rng(5)
    count = 5000
    prices = random.integers(0, 3, size=(count, 5)).astype(np.float64)
    quantities = random.integers(0, 3, size=(count, 5)).astype(np.float64)
    demand = random.integers(-1, 10, size=count).astype(np.float64)
    market = Offers(prices, quantities, demand, vm.MarketRules(tie_break=tie_break))
    compare(market, clear_rows(market, 2**40 + 3), 2**40 + 3)


def test_the_strategy_meets_every_corner() -> None:
    """A parity test is worth what its examples are: each corner takes a good share of them."""
    met: Counter[str] = Counter()
    markets = 0

    @settings(max_examples=400, database=None, derandomize=True)
    @given(offers(max_markets=1))
    def count(market: Offers) -> None:
        nonlocal markets
        markets += 1
        prices, quantities, demand = market.prices[0], market.quantities[0], market.demand[0]
        offered = prices[quantities > 0]
        met["zero quantity"] += bool((quantities == 0).any())
        met["no demand"] += bool(demand <= 0)
        met["negative price"] += bool((prices < 0).any())
        if demand <= 0:
            return
        met["shortage"] += bool(quantities.sum() < demand - 1e-6)
        sums = np.cumsum(quantities[np.argsort(prices, kind="stable")])
        met["kink"] += bool((sums == demand).any())
        met["near a kink"] += bool(((sums != demand) & (np.abs(sums - demand) < 1e-6)).any())
        met["nothing offered"] += len(offered) == 0
        if len(offered) > 0 and quantities.sum() >= demand:
            marginal = clear(prices.tolist(), quantities.tolist(), float(demand)).marginal
            met["tie at the margin"] += int((offered == prices[marginal]).sum()) > 1

    count()
    least = {
        "zero quantity": 0.2,
        "no demand": 0.1,
        "negative price": 0.3,
        "shortage": 0.04,
        "kink": 0.1,
        "near a kink": 0.04,
        "nothing offered": 0.01,
        "tie at the margin": 0.08,
    }
    shares = {corner: met[corner] / markets for corner in least}
    assert {corner for corner in least if shares[corner] < least[corner]} == set(), shares
