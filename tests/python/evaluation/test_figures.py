"""The figures of a market against hours worked out on paper."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import vecmarket as vm
from core.scenes import still
from vecmarket.evaluation import AGENT_FIGURES, MARKET_FIGURES, evaluate_profile

# Two hours, 80 and 130 MW. At cost: prices 20 and 40. With B at 30 and C at 60: 30 and 60.
THREE = still([50.0, 50.0, 50.0], [10.0, 20.0, 40.0], [80.0, 130.0])
RAISED = [0.0, 10.0, 20.0]


def test_the_market_under_the_uniform_price() -> None:
    figures = evaluate_profile(THREE, RAISED).figures
    assert figures.hours == (0, 1)

    def is_(key: str, overall: float, first: float, second: float) -> None:
        np.testing.assert_allclose(figures.market[key], [overall, first, second], atol=1e-9, err_msg=key)

    is_("price", 45.0, 30.0, 60.0)
    is_("price_weighted", (80 * 30 + 130 * 60) / 210, 30.0, 60.0)
    is_("price_sd", 15.0, 0.0, 0.0)
    is_("volatility", 30.0, math.nan, 30.0)
    is_("price_increase", 15.0, 10.0, 20.0)
    is_("price_increase_share", 50.0, 50.0, 50.0)
    # Dispatch 50, 30, 0 and 50, 50, 30.
    rents = (50 * 20 + 30 * 10, 50 * 50 + 50 * 40 + 30 * 20)
    is_("profit", sum(rents) / 2, *rents)
    is_("markup", sum(rents) / 210, rents[0] / 80, rents[1] / 130)
    lerner = (50 * 2 / 3 + 30 / 3, 50 * 5 / 6 + 50 * 2 / 3 + 30 / 3)
    is_("lerner", sum(lerner) / 210, lerner[0] / 80, lerner[1] / 130)
    is_("demand", 105.0, 80.0, 130.0)
    is_("consumer_cost", (2400 + 7800) / 2, 2400.0, 7800.0)
    is_("consumer_loss", (800 + 2600) / 2, 800.0, 2600.0)
    is_("production_cost", (1100 + 2700) / 2, 1100.0, 2700.0)
    is_("welfare_loss", 0.0, 0.0, 0.0)
    is_("unserved", 0.0, 0.0, 0.0)
    is_("unserved_increase", 0.0, 0.0, 0.0)
    share = [(100 / 210, 80 / 210, 30 / 210), (50 / 80, 30 / 80, 0), (50 / 130, 50 / 130, 30 / 130)]
    is_("hhi_dispatch", *(1e4 * sum(x * x for x in row) for row in share))
    is_("hhi_capacity", *[1e4 / 3] * 3)


def test_the_agents_under_the_uniform_price() -> None:
    found = evaluate_profile(THREE, RAISED)
    agent = found.figures.by_agent
    np.testing.assert_allclose(agent["profit"], [[1750, 1150, 300], [1000, 300, 0], [2500, 2000, 600]])
    # Truthful B leaves 20 as the price of the first hour, truthful C 40 as that of the second.
    np.testing.assert_allclose(
        agent["profit_truthful"], [[1750, 1000, 0], [1000, 0, 0], [2500, 2000, 0]], atol=1e-9
    )
    # First hour: 30 MW just below C at 60 for A and for B. Second: C, pivotal for 30 MW, at its dearest, 90.
    best = [[30 * 50, 30 * 40, 0], [2500, 2000, 30 * 50]]
    np.testing.assert_allclose(agent["profit_best"][1:], best, atol=0.2)
    np.testing.assert_allclose(agent["profit_best"][0], np.mean(best, axis=0), atol=0.2)
    np.testing.assert_allclose(agent["gain"], agent["profit_best"] - agent["profit"])
    assert agent["gain_share"][0, 1] == pytest.approx(100 * (1150 - 1000) / (1600 - 1000), abs=0.1)
    assert agent["gain_share"][0, 2] == pytest.approx(100 * 300 / 750, abs=0.1)
    assert math.isnan(agent["gain_share"][1, 2])  # C cannot earn anything in the first hour
    np.testing.assert_allclose(agent["dispatch"], [[50, 40, 15], [50, 30, 0], [50, 50, 30]])
    np.testing.assert_allclose(agent["energy_share"][0], [100 * 50 / 105, 100 * 40 / 105, 100 * 15 / 105])
    np.testing.assert_allclose(agent["capacity_share"], 100 / 3)
    np.testing.assert_allclose(agent["withheld"][0], 0.0, atol=1e-9)
    np.testing.assert_allclose(agent["markup"][0], [35.0, 1150 / 40, 20.0])
    np.testing.assert_allclose(agent["offer_markup"][0], RAISED)
    assert math.isnan(agent["markup"][1, 2])
    market = found.figures.market
    np.testing.assert_allclose(market["exploitability"], agent["gain"].sum(axis=1))
    assert market["exploitability"][0] == pytest.approx(found.exploitability)
    assert market["exploitability_share"][0] == pytest.approx(100 * (found.relative_exploitability or 0.0))
    np.testing.assert_allclose(agent["gain"][0], found.gains)
    np.testing.assert_allclose(agent["gain_share"][0], 100 * found.shares)


def test_pay_as_bid_pays_each_its_own_offer() -> None:
    scenario = THREE.replace(rules=vm.MarketRules(pricing="pay_as_bid"))
    figures = evaluate_profile(scenario, RAISED).figures
    assert figures.overall("price") == 45.0  # the marginal offers
    paid = (50 * 10 + 30 * 30, 50 * 10 + 50 * 30 + 30 * 60)
    np.testing.assert_allclose(figures.market["consumer_cost"], [sum(paid) / 2, *paid])
    np.testing.assert_allclose(
        figures.market["price_weighted"], [sum(paid) / 210, paid[0] / 80, paid[1] / 130]
    )
    np.testing.assert_allclose(figures.market["profit"], [(300 + 1100) / 2, 300, 500 + 600])
    np.testing.assert_allclose(figures.by_agent["lerner"][0], [0.0, 1 / 3, 1 / 3])
    # Truthful bids are paid at cost, and the price of the pair with the dear rivals shows no rent.
    np.testing.assert_allclose(figures.market["consumer_loss"][0], (300 + 1100) / 2)


def test_inefficient_dispatch_and_shortage_show_as_losses() -> None:
    # A at 25 runs after B: 50 MW at 20 and 30 at 10 instead of 50 at 10 and 30 at 20.
    figures = evaluate_profile(still([50.0, 50.0], [10.0, 20.0], [80.0]), [15.0, 0.0]).figures
    assert figures.overall("welfare_loss") == pytest.approx(200.0)
    half = lambda seen: np.tile(np.float32([0.5, 0.0]), (len(seen), 1))  # noqa: E731
    short = evaluate_profile(still([50.0, 50.0], [10.0, 20.0], [80.0]), {1: half}).figures
    assert short.overall("unserved") == short.overall("unserved_increase") == pytest.approx(5.0)
    assert short.overall("consumer_cost") == pytest.approx(75.0 * 20.0)
    assert short.overall("withheld", 1) == pytest.approx(50.0)
    assert short.overall("withheld", 0) == 0.0


def test_hours_of_the_day_are_the_true_ones_and_add_up() -> None:
    scenario = vm.Scenario.ieee_rts()
    found = evaluate_profile(scenario, {"U350_1": 15.0}, days=(43, 44, 300), deviators="U350_1")
    figures = found.figures
    assert figures.hours == tuple(range(24))
    played = found.played
    np.testing.assert_allclose(figures.market["price"][1:], played.price.mean(axis=0))
    np.testing.assert_allclose(figures.market["price_sd"][1:], played.price.std(axis=0), atol=1e-6)
    assert figures.overall("price_sd") == pytest.approx(played.price.std())
    change = np.diff(played.price, axis=1)
    assert figures.overall("volatility") == pytest.approx(np.sqrt((change**2).mean()))
    for key in ("price", "profit", "consumer_cost", "unserved", "exploitability"):
        assert figures.overall(key) == pytest.approx(figures.market[key][1:].mean())
    np.testing.assert_allclose(figures.by_agent["energy_share"].sum(axis=1), 100.0)
    others = [i for i, name in enumerate(figures.agents) if name != "U350_1"]
    assert np.isnan(figures.by_agent["gain"][:, others]).all()


def test_a_window_that_starts_at_noon_counts_hours_from_noon() -> None:
    demand = vm.Demand((60.0,) * 30, first_hour=12)
    scenario = THREE.replace(demand=demand, horizon=30)
    figures = evaluate_profile(scenario, None).figures
    assert figures.hours == tuple(range(24))
    assert figures.market["volatility"][13] == 0.0 or math.isnan(figures.market["volatility"][13])


@pytest.mark.parametrize(
    "scenario",
    [
        still([50.0, 50.0], [10.0, 20.0], [-5.0]),
        still([50.0, 50.0], [-10.0, 20.0], [30.0]),
        still([0.0, 50.0], [10.0, 20.0], [10.0]),
        still([50.0], [10.0], [60.0]),
    ],
    ids=["negative demand", "negative price", "zero capacity", "alone, short"],
)
def test_odd_markets_have_figures_without_a_warning(scenario: vm.Scenario) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = evaluate_profile(scenario, 1.0).figures
    assert set(figures.market) == {f.key for f in MARKET_FIGURES}
    assert set(figures.by_agent) == {f.key for f in AGENT_FIGURES}
    assert not np.isinf(np.concatenate(list(figures.market.values()))).any()
    assert math.isfinite(figures.overall("profit"))
