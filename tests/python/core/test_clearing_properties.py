"""What must hold of every clearing, whatever the offers."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import vecmarket as vm
from core.strategies import HIGHEST, LOWEST, Offers, clear_rows, offers, st_seed

SUM = 1e-9  # relative: dispatch adds up to demand up to rounding


@given(offers(), st_seed)
def test_dispatch_lies_between_zero_and_the_offer(market: Offers, seed: int) -> None:
    dispatch = clear_rows(market, seed).dispatch
    assert (dispatch >= 0).all()
    assert (dispatch <= market.quantities * (1 + 1e-15)).all()


@given(offers(), st_seed)
def test_dispatch_adds_up_to_demand_or_to_all_that_is_offered(market: Offers, seed: int) -> None:
    result = clear_rows(market, seed)
    wanted = np.minimum(np.maximum(market.demand, 0), market.quantities.sum(axis=1))
    np.testing.assert_allclose(result.dispatch.sum(axis=1), wanted, rtol=SUM, atol=SUM)
    balance = result.dispatch.sum(axis=1) + result.unserved - result.curtailed
    np.testing.assert_allclose(balance, market.demand, rtol=2 * SUM, atol=2 * SUM)
    assert (result.unserved >= 0).all()
    assert (result.curtailed >= 0).all()


@given(offers(), st_seed)
def test_a_uniform_price_is_no_lower_than_any_dispatched_offer(market: Offers, seed: int) -> None:
    result = clear_rows(market.under(pricing="uniform"), seed)
    runs = result.dispatch > 0
    assert (np.where(runs, market.prices, -np.inf) <= result.price[:, None]).all()


@given(offers(), st_seed)
def test_offers_below_the_margin_run_fully_and_offers_above_do_not_run(market: Offers, seed: int) -> None:
    result = clear_rows(market, seed)
    for n in range(len(market.demand)):
        m = result.marginal[n]
        if m < 0:
            assert not result.dispatch[n].any()
            continue
        marginal_offer = market.prices[n, m]
        below = market.prices[n] < marginal_offer
        np.testing.assert_array_equal(result.dispatch[n, below], market.quantities[n, below])
        assert not result.dispatch[n, market.prices[n] > marginal_offer].any()
        assert market.quantities[n, m] > 0
        assert result.dispatch[n, m] > 0


@given(offers(max_markets=1), st_seed, st.integers(0, 2**32 - 1))
def test_price_never_falls_as_demand_grows(market: Offers, seed: int, random_seed: int) -> None:
    random = np.random.default_rng(random_seed)
    total = market.quantities.sum()
    demand = np.sort(np.append(random.uniform(0, total + 1, size=30), np.arange(1, min(total, 30) + 1)))
    demand = demand[demand > 0]
    prices = np.repeat(market.prices, len(demand), axis=0)
    quantities = np.repeat(market.quantities, len(demand), axis=0)
    price = clear_rows(Offers(prices, quantities, demand, market.rules), seed).price
    if market.quantities.any():
        assert (np.diff(price) >= 0).all()


@given(offers(), st.integers(0, 2**32 - 1))
def test_under_pro_rata_the_order_of_the_units_does_not_matter(market: Offers, random_seed: int) -> None:
    market = market.under(tie_break="pro_rata")
    order = np.random.default_rng(random_seed).permutation(market.prices.shape[1])
    shuffled = dataclasses.replace(
        market, prices=market.prices[:, order].copy(), quantities=market.quantities[:, order].copy()
    )
    result, other = clear_rows(market), clear_rows(shuffled)
    np.testing.assert_array_equal(result.price, other.price)
    np.testing.assert_allclose(result.dispatch[:, order], other.dispatch, rtol=1e-12, atol=1e-12)


@given(offers(), st_seed)
def test_the_tie_rule_decides_who_runs_and_nothing_else(market: Offers, seed: int) -> None:
    results = [clear_rows(market.under(tie_break=rule), seed) for rule in ("pro_rata", "index", "random")]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].price, other.price)
        np.testing.assert_array_equal(results[0].curtailed, other.curtailed)
        # Demand less supply, which is summed in another order: the error is that of the sum.
        assert (np.abs(results[0].unserved - other.unserved) <= 1e-12 * np.maximum(1, market.demand)).all()
        cost = (market.prices * results[0].dispatch).sum(axis=1)
        np.testing.assert_allclose((market.prices * other.dispatch).sum(axis=1), cost, rtol=SUM, atol=1e-6)


@given(offers(), st_seed)
def test_pay_as_bid_changes_the_price_alone(market: Offers, seed: int) -> None:
    uniform, own = (clear_rows(market.under(pricing=p), seed) for p in ("uniform", "pay_as_bid"))
    assert uniform.dispatch.tobytes() == own.dispatch.tobytes()
    np.testing.assert_array_equal(uniform.marginal, own.marginal)
    for n, m in enumerate(own.marginal):
        if m >= 0:
            assert own.price[n] == market.prices[n, m]


@given(offers(), st_seed)
def test_prices_stay_within_floor_and_cap(market: Offers, seed: int) -> None:
    price = clear_rows(market.under(price_floor=LOWEST, price_cap=HIGHEST), seed).price
    assert ((price >= LOWEST) & (price <= HIGHEST)).all()


@given(offers(), st_seed, st.integers(1, 4))
def test_zero_quantity_offers_change_nothing(market: Offers, seed: int, count: int) -> None:
    """Empty offers appended after the others leave the ties, the price and the dispatch as they were."""
    rows = len(market.demand)
    for price in (LOWEST, HIGHEST):
        more = dataclasses.replace(
            market,
            prices=np.hstack([market.prices, np.full((rows, count), price)]),
            quantities=np.hstack([market.quantities, np.zeros((rows, count))]),
        )
        result, other = clear_rows(market, seed), clear_rows(more, seed)
        np.testing.assert_array_equal(result.price, other.price)
        np.testing.assert_array_equal(result.dispatch, other.dispatch[:, :-count])
        np.testing.assert_array_equal(result.marginal, other.marginal)


@given(st_seed)
def test_a_random_order_is_fair(seed: int) -> None:
    """Each of four equal offers runs first in a quarter of 2000 rows, within five standard deviations."""
    rows = 2000
    result = vm.clear(
        np.full((rows, 4), 10.0),
        np.ones((rows, 4)),
        np.ones(rows),
        rules=vm.MarketRules(tie_break="random"),
        seed=seed,
    )
    first = result.dispatch.sum(axis=0)
    assert np.abs(first - 500).max() < 5 * np.sqrt(rows * 0.25 * 0.75)
