"""The clearing against a linear programme solved by HiGHS.

    minimise    sum_i b_i x_i + VALUE_OF_LOST_LOAD * u
    subject to  sum_i x_i + u = D,  0 <= x_i <= q_i,  u >= 0

Its cost as a function of D is convex and, with whole-number quantities, linear between whole numbers. So the
two slopes at D, taken over a quarter of a MWh, are exactly the ends of the interval of dual prices.
"""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog  # type: ignore[import-untyped]

import vecmarket as vm
from core.strategies import Floats, Offers, offers

VALUE_OF_LOST_LOAD = 1000.0
STEP = 0.25
ABSOLUTE = 1e-6  # HiGHS' own feasibility tolerance is 1e-7


def least_cost(prices: Floats, quantities: Floats, demand: float) -> float:
    solution = linprog(
        c=np.append(prices, VALUE_OF_LOST_LOAD),
        A_eq=np.ones((1, len(prices) + 1)),
        b_eq=[demand],
        bounds=[*((0.0, q) for q in quantities), (0.0, None)],
        method="highs",
    )
    assert solution.status == 0, solution.message
    return float(solution.fun)


@st.composite
def solvable(draw: st.DrawFn) -> tuple[Floats, Floats, float, vm.MarketRules]:
    market: Offers = draw(offers(max_generators=30, max_markets=1))
    demand = round(2 * float(market.demand[0])) / 2
    assume(demand > 0)
    return market.prices[0], market.quantities[0], demand, market.rules


@settings(max_examples=300)
@given(solvable())
def test_dispatch_has_the_least_cost(market: tuple[Floats, Floats, float, vm.MarketRules]) -> None:
    prices, quantities, demand, rules = market
    result = vm.clear(prices, quantities, demand, rules=rules)
    cost = float(prices @ result.dispatch + VALUE_OF_LOST_LOAD * result.unserved)
    assert abs(cost - least_cost(prices, quantities, demand)) <= ABSOLUTE * max(1.0, abs(cost))


@settings(max_examples=300)
@given(solvable())
def test_price_is_the_end_of_the_dual_interval_that_the_kink_rule_names(
    market: tuple[Floats, Floats, float, vm.MarketRules],
) -> None:
    prices, quantities, demand, rules = market
    assume(demand <= quantities.sum())
    rules = vm.MarketRules(kink=rules.kink, tie_break=rules.tie_break)
    cost = least_cost(prices, quantities, demand)
    lower = (cost - least_cost(prices, quantities, demand - STEP)) / STEP
    upper = (least_cost(prices, quantities, demand + STEP) - cost) / STEP
    price = float(vm.clear(prices, quantities, demand, rules=rules).price)

    assert lower - ABSOLUTE <= price <= upper + ABSOLUTE
    no_next_offer = demand == quantities.sum()
    upper = lower if no_next_offer else upper
    named = {"lower": lower, "upper": upper, "mid": (lower + upper) / 2}[rules.kink]
    assert abs(price - named) <= ABSOLUTE
