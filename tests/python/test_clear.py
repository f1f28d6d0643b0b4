"""`vm.clear`: shapes, plain numbers, refusals by name. Its outcomes are checked elsewhere."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import vecmarket as vm

PRICES, QUANTITIES = [30.0, 20.0, 50.0], [100.0, 100.0, 100.0]


def test_one_market() -> None:
    out = vm.clear(PRICES, QUANTITIES, 150.0)
    assert isinstance(out, vm.Clearing)
    assert (out.price, out.unserved, out.curtailed, out.marginal) == (30.0, 0.0, 0.0, 0)
    assert [type(x) for x in (out.price, out.unserved, out.curtailed, out.marginal)] == [float] * 3 + [int]
    np.testing.assert_array_equal(out.dispatch, [50.0, 100.0, 0.0])


def test_shortage_and_negative_demand() -> None:
    short = vm.clear(PRICES, QUANTITIES, 320.0)
    assert (short.price, short.unserved) == (50.0, 20.0)
    over = vm.clear(PRICES, QUANTITIES, -15.0)
    assert (over.price, over.curtailed, over.marginal) == (0.0, 15.0, -1)
    assert not over.dispatch.any()


def test_many_markets_are_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    prices, quantities = rng.uniform(10, 60, (50, 6)), rng.uniform(0, 40, (50, 6))
    demand = rng.uniform(-20, 200, 50)
    many = vm.clear(prices, quantities, demand)
    assert np.abs(many.unserved).max() > 0
    assert many.price.shape == many.unserved.shape == many.curtailed.shape == many.marginal.shape == (50,)
    assert many.dispatch.shape == (50, 6)
    assert many.marginal.dtype == np.int64
    for i in range(50):
        one = vm.clear(prices[i], quantities[i], demand[i])
        assert (many.price[i], many.curtailed[i], many.marginal[i]) == (
            one.price,
            one.curtailed,
            one.marginal,
        )
        # A batch sums supply in the order of places, one market in merit order.
        rounding = 1e-13 * abs(demand[i])
        np.testing.assert_allclose(many.unserved[i], one.unserved, rtol=0, atol=rounding)
        np.testing.assert_allclose(many.dispatch[i], one.dispatch, rtol=0, atol=rounding)


@pytest.mark.parametrize("offers", [1, 3, 5, 24, 25, 100])
@pytest.mark.parametrize("tie_break", ["pro_rata", "index", "random"])
def test_a_row_knows_nothing_of_the_others(offers: int, tie_break: str) -> None:
    """To the bit: rows are cleared side by side, in groups that the last ones do not fill."""
    rng = np.random.default_rng(offers)
    prices = np.where(rng.random((43, offers)) < 0.3, 20.0, rng.normal(40, 20, (43, offers)))
    prices[::3] = rng.integers(0, 3, (15, offers)) * 1.5
    quantities = np.where(rng.random((43, offers)) < 0.2, 0.0, rng.uniform(0, 40, (43, offers)))
    demand = rng.uniform(-0.1, 1.2, 43) * quantities.sum(axis=1)
    rules = vm.MarketRules(tie_break=tie_break)
    many = vm.clear(prices, quantities, demand, rules=rules, seed=3)
    for count in (1, 2, 7, 8, 9, 16, 42):
        few = vm.clear(prices[:count], quantities[:count], demand[:count], rules=rules, seed=3)
        for all_rows, first_rows in zip(many, few, strict=True):
            assert np.asarray(all_rows)[:count].tobytes() == np.asarray(first_rows).tobytes()
    if tie_break != "random":  # where a row's order hangs on its number
        back = vm.clear(prices[::-1], quantities[::-1], demand[::-1], rules=rules)
        for there, here in zip(many, back, strict=True):
            assert np.asarray(there)[::-1].tobytes() == np.asarray(here).tobytes()


@pytest.mark.parametrize("tie_break", ["pro_rata", "index", "random"])
def test_threads_share_the_rows_and_change_nothing(tie_break: str) -> None:
    rng = np.random.default_rng(11)
    prices = rng.integers(0, 40, (9001, 30)) * 0.7  # fewer would be cleared by one thread
    quantities = rng.uniform(0, 40, (9001, 30))
    demand = rng.uniform(-0.1, 1.2, 9001) * quantities.sum(axis=1)
    rules = vm.MarketRules(tie_break=tie_break)
    one = vm.clear(prices, quantities, demand, rules=rules, seed=5)
    for threads in (0, 2, 3):
        for x, y in zip(
            one, vm.clear(prices, quantities, demand, rules=rules, seed=5, threads=threads), strict=True
        ):
            assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
    prices[8999, 29] = np.nan
    with pytest.raises(ValueError, match=r"^prices\[8999, 29\]: must be finite, got NaN$"):
        vm.clear(prices, quantities, demand, threads=2)


def test_one_demand_for_all() -> None:
    prices, quantities = np.tile(PRICES, (4, 1)), np.tile(QUANTITIES, (4, 1))
    np.testing.assert_array_equal(
        vm.clear(prices, quantities, 150).price, vm.clear(prices, quantities, [150.0] * 4).price
    )


def test_any_real_numbers_in_any_layout() -> None:
    prices = np.array([PRICES, PRICES[::-1]])
    wanted = vm.clear(prices, np.full((2, 3), 100.0), [150.0, 250.0])
    for got in (
        vm.clear(prices.astype(int), np.full((2, 3), 100, np.uint8), np.array([150, 250], np.int16)),
        vm.clear(np.asfortranarray(prices), np.full((2, 6), 100.0)[:, ::2], np.float32([150, 250])),
        vm.clear(prices.tolist(), [[100] * 3] * 2, (150, 250)),
    ):
        np.testing.assert_array_equal(got.price, wanted.price)
        np.testing.assert_array_equal(got.dispatch, wanted.dispatch)


def test_rules_seed_and_threads() -> None:
    rules = vm.MarketRules(tie_break="random", kink="upper")
    prices, quantities = np.full((64, 4), 20.0), np.full((64, 4), 10.0)
    one = vm.clear(prices, quantities, 15.0, rules=rules, seed=3)
    for threads in (0, 2):
        again = vm.clear(prices, quantities, 15.0, rules=rules, seed=3, threads=threads)
        np.testing.assert_array_equal(one.dispatch, again.dispatch)
    assert (one.dispatch != vm.clear(prices, quantities, 15.0, rules=rules, seed=4).dispatch).any()
    np.testing.assert_allclose(one.dispatch.sum(axis=1), 15.0)
    # Row i draws from (seed, i): the rows do not all pick the same winners.
    assert len({tuple(row) for row in one.dispatch}) > 1


@pytest.mark.parametrize("offers", [1, 5, 8, 9, 16, 40, 128, 129, 1024, 1025])
@pytest.mark.parametrize("rules", [vm.MarketRules(), vm.MarketRules(tie_break="random", price_cap=90.0)])
def test_one_market_clears_alike_however_it_is_written(offers: int, rules: vm.MarketRules) -> None:
    """Plain arrays take a shorter way through the core than what has to be converted."""
    rng = np.random.default_rng(offers)
    for _ in range(20):
        prices, quantities = rng.integers(-20, 80, offers) * 0.5, rng.integers(0, 4, offers) * 1.25
        demand = float(rng.uniform(-0.1, 1.2) * quantities.sum())
        plain = vm.clear(prices, quantities, demand, rules=rules, seed=7)
        assert type(plain) is vm.Clearing
        read_only = prices.copy()
        read_only.flags.writeable = False
        for other in (
            vm.clear(prices.tolist(), quantities.tolist(), demand, rules=rules, seed=7),
            vm.clear(np.repeat(prices, 2)[::2], quantities.astype(np.float32), demand, rules=rules, seed=7),
            vm.clear(prices.astype(">f8"), quantities, np.float64(demand), rules=rules, seed=np.int64(7)),
            vm.clear(prices=read_only, quantities=quantities, demand=demand, rules=rules, seed=7, threads=2),
        ):
            assert other[:1] + other[2:] == plain[:1] + plain[2:]
            assert [type(x) for x in other] == [type(x) for x in plain]
            assert other.dispatch.tobytes() == plain.dispatch.tobytes()


def test_what_was_cleared_before_stays() -> None:
    prices, quantities = np.array(PRICES), np.array(QUANTITIES)
    first = vm.clear(prices, quantities, 150.0)
    second = vm.clear(prices, quantities, 250.0)
    assert first.dispatch.tolist() == [50.0, 100.0, 0.0]
    assert second.dispatch.tolist() == [100.0, 100.0, 50.0]
    assert first.dispatch.flags.writeable


def test_the_signature_says_how_to_call_it() -> None:
    parameters = inspect.signature(vm.clear).parameters
    assert list(parameters) == ["prices", "quantities", "demand", "rules", "seed", "threads"]
    assert [p.default for p in parameters.values()][3:] == [vm.MarketRules(), 0, 1]
    assert all(
        parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in ("rules", "seed", "threads")
    )


def test_inputs_stay() -> None:
    prices, quantities, demand = np.array([PRICES]), np.array([QUANTITIES]), np.array([150.0])
    before = [a.copy() for a in (prices, quantities, demand)]
    vm.clear(prices, quantities, demand)
    for array, was in zip((prices, quantities, demand), before, strict=True):
        np.testing.assert_array_equal(array, was)


@pytest.mark.parametrize(
    ("prices", "quantities", "demand", "name"),
    [
        (20.0, 10.0, 5.0, "prices"),
        (np.zeros((1, 2, 3)), np.zeros((1, 2, 3)), 5.0, "prices"),
        ([[1.0], [1.0, 2.0]], [[1.0], [1.0]], 5.0, "prices"),
        (PRICES, [1.0, 2.0], 5.0, "quantities"),
        ([PRICES], QUANTITIES, 5.0, "quantities"),
        (PRICES, QUANTITIES, [5.0], "demand"),
        ([PRICES, PRICES], [QUANTITIES, QUANTITIES], [5.0] * 3, "demand"),
        ([PRICES, PRICES], [QUANTITIES, QUANTITIES], [[5.0], [5.0]], "demand"),
        (PRICES, [1.0, np.nan, 1.0], 5.0, "quantities"),
        (PRICES, [1.0, -1.0, 1.0], 5.0, "quantities"),
        ([1.0, np.inf, 1.0], QUANTITIES, 5.0, "prices"),
        (PRICES, QUANTITIES, np.nan, "demand"),
        ([], [], 5.0, "prices"),
        (np.zeros((3, 0)), np.zeros((3, 0)), 5.0, "prices"),
    ],
)
def test_bad_values(prices: Any, quantities: Any, demand: Any, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        vm.clear(prices, quantities, demand)


@pytest.mark.parametrize("row", [0, 7, 8, 10])
@pytest.mark.parametrize(
    ("array", "bad", "message"),
    [
        (0, np.nan, r"prices\[{row}, 2\]: must be finite, got NaN"),
        (0, 50.5, r"prices\[{row}, 2\]: must lie within floor and cap, \[10, 50\], got 50\.5"),
        (0, 9.5, r"prices\[{row}, 2\]: must lie within floor and cap, \[10, 50\], got 9\.5"),
        (1, -0.5, r"quantities\[{row}, 2\]: must be finite, >= 0 and <= 1e15, got -0\.5"),
        (1, 2e15, r"quantities\[{row}, 2\]: must be finite, >= 0 and <= 1e15, got 2000000000000000"),
        (2, -np.inf, r"demand\[{row}\]: must be finite, got -inf"),
        (2, 2e15, r"demand\[{row}\]: must be within \+-1e15, got 2000000000000000"),
    ],
)
def test_a_bad_number_of_a_batch_is_named(row: int, array: int, bad: float, message: str) -> None:
    arrays = [np.full((11, 5), 20.0), np.ones((11, 5)), np.full(11, 3.0)]
    arrays[array][(row, 2) if array < 2 else row] = bad
    rules = vm.MarketRules(price_floor=10.0, price_cap=50.0)
    with pytest.raises(ValueError, match=f"^{message.format(row=row)}$"):
        vm.clear(arrays[0], arrays[1], arrays[2], rules=rules)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((["a"], [1.0], 1.0), "prices"),
        (([1.0], [1j], 1.0), "quantities"),
        (([1.0], [1.0], None), "demand"),
    ],
)
def test_bad_types(arguments: Any, name: str) -> None:
    with pytest.raises(TypeError, match=name):
        vm.clear(*arguments)


@pytest.mark.parametrize(
    ("prices", "quantities", "demand", "message"),
    [
        ([1.0, np.nan], [1.0, 1.0], 5.0, r"prices\[1\]: must be finite, got NaN"),
        ([1.0, 2e15], [1.0, 1.0], 5.0, r"prices\[1\]: must be within \+-1e15, got 2000000000000000"),
        ([1.0, 60.0], [1.0, 1.0], 5.0, r"prices\[1\]: must lie within floor and cap, \[0, 50\], got 60"),
        ([-1.0, 1.0], [1.0, 1.0], 5.0, r"prices\[0\]: must lie within floor and cap, \[0, 50\], got -1"),
        ([1.0, 1.0], [1.0, -0.5], 5.0, r"quantities\[1\]: must be finite, >= 0 and <= 1e15, got -0\.5"),
        ([1.0, 1.0], [np.inf, 1.0], 5.0, r"quantities\[0\]: must be finite, >= 0 and <= 1e15, got inf"),
        ([1.0, 1.0], [1.0, 1.0], np.inf, "demand: must be finite, got inf"),
        ([1.0, np.nan], [1.0, -1.0], np.nan, "demand: must be finite, got NaN"),
        ([1.0, 1.0], [1.0], 5.0, r"quantities: must have the shape of prices, \(2,\), got \(1,\)"),
        ([1.0, 1.0], [[1.0, 1.0]], 5.0, r"quantities: must have the shape of prices, \(2,\), got \(1, 2\)"),
        ([], [], 5.0, r"prices: a market needs at least one offer, got shape \(0,\)"),
    ],
)
def test_plain_arrays_are_refused_like_lists(
    prices: Any, quantities: Any, demand: float, message: str
) -> None:
    rules = vm.MarketRules(price_floor=0.0, price_cap=50.0)
    for make in (np.array, list):
        with pytest.raises(ValueError, match=f"^{message}$"):
            vm.clear(make(prices), make(quantities), demand, rules=rules)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"seed": True}, "seed"),
        ({"seed": -1}, "seed"),
        ({"threads": True}, "threads"),
        ({"rules": None}, "rules"),
    ],
)
def test_bad_options_beside_plain_arrays(options: dict[str, Any], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        vm.clear(np.array(PRICES), np.array(QUANTITIES), 150.0, **options)


def test_bad_rules() -> None:
    with pytest.raises(ValueError, match="pro_rata"):
        vm.clear(PRICES, QUANTITIES, 150.0, rules=vm.MarketRules(tie_break="coin"))
    with pytest.raises(ValueError, match=r"prices|floor|cap"):
        vm.clear(PRICES, QUANTITIES, 150.0, rules=vm.MarketRules(price_cap=40.0))
