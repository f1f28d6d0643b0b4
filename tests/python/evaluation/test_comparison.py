"""Figures of the comparison against markets worked out on paper."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import vecmarket as vm
from evaluation.markets import offer, one_hour
from vecmarket.evaluation import Evaluation, Metric, evaluate, evaluate_profile, truthful
from vecmarket.scenarios.days import evaluation_days

# float32 actions place an offer to about 1e-5 $/MWh
CENT = 0.01

DRAWN = vm.MlpPolicy([np.zeros((2, 7))], [np.zeros(2)])

THREE = [(50.0, 10.0), (50.0, 20.0), (50.0, 40.0)]


def metric(evaluation: Evaluation, key: str) -> Metric:
    return next(m for m in evaluation.metrics() if m.key == key)


def test_the_marginal_unit_raises_the_price_to_its_own_offer() -> None:
    # Demand 80: the unit at 20 runs 30 MW; at 30 it still does, and the price follows.
    result = evaluate(one_hour(THREE, 80.0), 1, offer(10.0))
    assert metric(result, "price").truthful == 20.0
    assert metric(result, "price").policy == pytest.approx(30.0, abs=CENT)
    assert metric(result, "profit").truthful == 0.0
    assert metric(result, "profit").policy == pytest.approx(300.0, abs=1.0)
    assert metric(result, "dispatch").policy == pytest.approx(30.0)
    assert metric(result, "markup").policy == pytest.approx(10.0, abs=CENT)
    assert metric(result, "lerner").policy == pytest.approx(1 / 3, abs=1e-3)
    assert metric(result, "consumer_cost").truthful == pytest.approx(20.0 * 80.0)
    assert metric(result, "consumer_cost").policy == pytest.approx(30.0 * 80.0, abs=1.0)
    assert metric(result, "production_cost").policy == pytest.approx(50 * 10 + 30 * 20)
    assert metric(result, "welfare_loss").policy == pytest.approx(0.0, abs=1e-9)
    # Just below the unit at 40: (40 - 20) * 30, to a tenth of a cent.
    assert metric(result, "profit").best == pytest.approx(600.0, abs=0.1)
    assert result.profit_share == pytest.approx(0.5, abs=1e-3)
    assert result.return_share == pytest.approx(0.5, abs=1e-3)


def test_a_cheap_unit_that_bids_past_a_dear_one_costs_welfare() -> None:
    # At 30 the cheap unit runs after the one at 20: 50 * 20 + 30 * 10 instead of 50 * 10 + 30 * 20.
    result = evaluate(one_hour(THREE, 80.0), 0, offer(20.0))
    assert metric(result, "profit").truthful == pytest.approx(500.0)
    assert metric(result, "profit").policy == pytest.approx(600.0, abs=1.0)
    assert metric(result, "welfare_loss").policy == pytest.approx(200.0, abs=1e-6)
    # The best reply: 30 MW just below 40.
    assert metric(result, "profit").best == pytest.approx(900.0, abs=0.1)


def test_withholding_shows_as_withheld_and_unserved() -> None:
    result = evaluate(one_hour(THREE, 140.0), 2, offer(0.0, withheld=0.5))
    assert metric(result, "withheld").policy == pytest.approx(50.0)
    assert metric(result, "unserved").truthful == 0.0
    assert metric(result, "unserved").policy == pytest.approx(15.0)
    # Served energy alone is paid for.
    assert metric(result, "consumer_cost").policy == pytest.approx(40.0 * 125.0)


def test_offers_that_are_not_called_count_neither_as_withheld_nor_as_markup() -> None:
    # The unit at 40 runs in the second hour alone; in the first it holds back 80 % and asks for 30 more.
    market = one_hour(THREE, 60.0)
    demand = dataclasses.replace(market.demand, series_mw=(60.0, 125.0))
    market = market.replace(demand=demand, horizon=2)
    hours = iter([offer(30.0, withheld=0.8), offer(5.0, withheld=0.2)])
    result = evaluate(market, 2, lambda observations: next(hours)(observations))
    assert result.policy.dispatch[0].tolist() == pytest.approx([0.0, 25.0])
    assert metric(result, "withheld").policy == pytest.approx(20.0, abs=1e-4)
    assert metric(result, "offer_markup").policy == pytest.approx(5.0, abs=CENT)
    assert metric(result, "withheld").truthful == 0.0
    assert metric(result, "offer_markup").truthful == 0.0


def test_a_unit_that_never_runs_has_neither_withheld_nor_markup() -> None:
    result = evaluate(one_hour(THREE, 60.0), 2, offer(30.0, withheld=0.8))
    for key in ("withheld", "offer_markup", "markup", "lerner"):
        assert metric(result, key).policy is None


def test_pay_as_bid_pays_each_its_own_offer() -> None:
    result = evaluate(one_hour(THREE, 80.0, pricing="pay_as_bid"), 0, offer(5.0))
    assert metric(result, "profit").truthful == 0.0
    assert metric(result, "profit").policy == pytest.approx(5.0 * 50.0, abs=1.0)
    assert metric(result, "consumer_cost").policy == pytest.approx(15.0 * 50.0 + 20.0 * 30.0, abs=1.0)
    # Dear but half sold beats cheap and sold out: (40 - 10) * 30 against (20 - 10) * 50.
    assert metric(result, "profit").best == pytest.approx(900.0, abs=0.1)


def test_the_lerner_index_is_of_what_the_unit_itself_is_paid() -> None:
    # Paid 15 at a cost of 10, whatever the dearest offer that runs is (20); it says nothing about this unit.
    result = evaluate(one_hour(THREE, 80.0, pricing="pay_as_bid"), 0, offer(5.0))
    assert metric(result, "price").policy == 20.0
    assert metric(result, "lerner").policy == pytest.approx(1 / 3, abs=1e-3)
    assert metric(result, "lerner").truthful == 0.0
    assert metric(result, "markup").policy == pytest.approx(5.0, abs=CENT)


def test_markup_and_lerner_index_are_by_dispatch() -> None:
    # 50 MW at a price of 20, then 30 MW at 40 (all that the other two leave of 80).
    market = one_hour([(50.0, 10.0), (10.0, 5.0), (100.0, 20.0), (40.0, 1.0)], 110.0)
    result = evaluate(market, 0, truthful)
    assert metric(result, "lerner").policy == pytest.approx(0.5)
    demand = dataclasses.replace(market.demand, series_mw=(110.0, 80.0))
    result = evaluate(market.replace(demand=demand, horizon=2), 0, truthful)
    # 50 MW at 20 and 30 MW at 10, its own cost: 50 / 80 of (20 - 10) / 20, and of 10 $/MWh.
    assert result.policy.dispatch[0].tolist() == [50.0, 30.0]
    assert metric(result, "lerner").policy == pytest.approx(50 / 80 / 2)
    assert metric(result, "markup").policy == pytest.approx(50 / 80 * 10)


@pytest.mark.parametrize("pricing", ["uniform", "pay_as_bid"])
def test_a_name_means_the_same_for_a_learner_and_in_a_profile(pricing: str) -> None:
    scenario = vm.Scenario.default().replace(rules=vm.MarketRules(pricing=pricing))
    policy = offer(12.0, withheld=0.3)
    alone = evaluate(scenario, "G2", policy, episodes=16)
    figures = evaluate_profile(scenario, {"G2": policy}, episodes=16, deviators="G2").figures
    for key in ("profit", "dispatch", "withheld", "offer_markup", "markup", "lerner"):
        assert metric(alone, key).policy == pytest.approx(figures.overall(key, 2), rel=1e-9), key
    for key in ("price", "consumer_cost", "production_cost", "welfare_loss", "unserved"):
        assert metric(alone, key).policy == pytest.approx(figures.overall(key), rel=1e-9, abs=1e-9), key


def test_without_an_attainable_gain_there_is_no_share() -> None:
    # Either unit alone serves the whole demand at the same cost.
    result = evaluate(one_hour([(100.0, 20.0), (100.0, 20.0)], 50.0), 0, offer(10.0))
    assert result.profit_share is None
    assert metric(result, "profit_share").policy is None
    assert metric(result, "hours_gained").best == 0.0
    # The best reply is then the honest offer itself.
    assert result.best_profit.offer_price[0, 0] == 20.0


def test_truthful_bidding_as_policy_gains_nothing() -> None:
    result = evaluate(vm.Scenario.default(), "G4", truthful, episodes=4)
    assert result.profit_share == 0.0
    assert result.return_share == 0.0
    np.testing.assert_array_equal(result.policy.reward, result.truthful.reward)


def test_every_play_meets_the_same_demand() -> None:
    result = evaluate(vm.Scenario.default(), "G4", offer(30.0), episodes=8)
    assert np.ptp(result.truthful.demand, axis=0).min() > 0  # the draws differ
    for other in (result.policy, result.best_profit, result.best_reward):
        np.testing.assert_array_equal(other.demand, result.truthful.demand)


def test_the_same_evaluation_again_is_the_same() -> None:
    first, again = (evaluate(vm.Scenario.default(), 4, offer(20.0), episodes=4) for _ in range(2))
    assert first.metrics() == again.metrics()
    other = evaluate(vm.Scenario.default(), 4, offer(20.0), episodes=4, seed=1)
    assert other.metrics() != first.metrics()


def test_rivals_take_part_as_given() -> None:
    market = one_hour(THREE, 80.0)
    marked_up = evaluate(market, 1, truthful, rivals=5.0)
    assert metric(marked_up, "profit").best == pytest.approx((45.0 - 20.0) * 30.0, abs=0.1)
    called = evaluate(market, 1, truthful, rivals=offer(5.0))
    assert metric(called, "profit").best == pytest.approx((45.0 - 20.0) * 30.0, abs=0.1)


def test_a_year_is_judged_on_its_held_out_days_once_each() -> None:
    result = evaluate(vm.Scenario.ieee_rts(), "U350_1", truthful, days=(42, 91))
    np.testing.assert_array_equal(result.truthful.hour[:, 0], [42 * 24, 91 * 24])
    np.testing.assert_array_equal(result.truthful.hour[:, -1], [42 * 24 + 23, 91 * 24 + 23])


@pytest.mark.parametrize(("days", "held_out"), [((42, 43), True), ((41, 42), False)])
def test_it_is_said_whether_the_days_are_held_out(days: tuple[int, ...], held_out: bool) -> None:
    assert evaluate(vm.Scenario.ieee_rts(), "U350_1", truthful, days=days).held_out is held_out


def test_one_window_is_not_held_out() -> None:
    assert not evaluate(vm.Scenario.competitive(), 0, truthful).held_out


def test_the_tables_of_rts_gmlc_can_be_judged(rts_gmlc: Path) -> None:
    scenario = vm.Scenario.from_csv(
        rts_gmlc / "rts_thermal_fleet.csv",
        rts_gmlc / "rts_load_hourly.csv",
        renewables=rts_gmlc / "rts_renewables_hourly.csv",
    )
    days = evaluation_days(scenario)
    assert days[:7] == tuple(range(42, 49))
    assert len(days) == 49  # of 366
    costs = [g.srmc for g in scenario.generators]
    cheapest = costs.index(min(costs))
    result = evaluate(scenario, cheapest, offer(5.0), days=days[:2])
    profit = metric(result, "profit")
    assert profit.truthful is not None
    assert profit.best is not None
    assert 0.0 < profit.truthful <= profit.best
    assert (result.best_profit.profit >= result.policy.profit - 1.0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learner": "U351"}, "U351"),
        ({"days": (400,)}, r"days\[0\]: must be in 0\.\.363"),
        ({"days": ()}, "days"),
        ({"episodes": 0}, "episodes"),
        ({"days": (-1,)}, r"days\[0\]: must be at least 0, got -1"),
        ({"days": (0.5,)}, r"days\[0\]: must be a whole number, got 0.5"),
        ({"episodes": 2.5}, r"episodes: must be a whole number, got 2\.5"),
        ({"seed": -1}, "seed: must be at least 0, got -1"),
        ({"policy": lambda seen: np.zeros((1, 2), np.float32)}, r"policy, step 0: must have shape \(2, 2\)"),
        ({"policy": lambda seen: np.zeros((2, 2), complex)}, "policy, step 0: must be real numbers"),
        ({"policy": lambda seen: np.full((2, 2), "a")}, "policy, step 0: must be real numbers"),
        ({"policy": lambda seen: np.full((2, 2), np.nan)}, "must be finite"),
        ({"policy": DRAWN.stochastic()}, r"policy: draws its actions.*policy\.deterministic\(\)"),
        (
            {"policy": vm.MlpPolicy([np.zeros((2, 4))], [np.zeros(2)])},
            "policy: takes 4 features, the scenario",
        ),
        ({"scenario": "default"}, "scenario: must be a Scenario, got str"),
        ({"grid": "critical"}, "grid: must be a Grid, got str"),
        ({"policy": vm.PolicyPool([5.0])}, "policy: must be a function of observations .*, got PolicyPool"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    given = {"learner": "U350_1", "policy": truthful, "days": (42, 43)} | arguments
    scenario = given.pop("scenario", None) or vm.Scenario.ieee_rts()
    with pytest.raises((ValueError, TypeError), match=message):
        evaluate(scenario, **given)


def test_a_torch_module_is_refused_with_what_to_do() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(7, 2))
    scenario = vm.Scenario.default()
    for where, call in (
        ("policy", lambda m: evaluate(scenario, "G4", m, episodes=2)),
        (r"rivals\['G3'\]", lambda m: evaluate(scenario, "G4", truthful, rivals={"G3": m}, episodes=2)),
        (r"profile\['G3'\]", lambda m: evaluate_profile(scenario, {"G3": m}, episodes=2)),
        (r"profile\['G0'\]", lambda m: evaluate_profile(scenario, m, episodes=2)),
        (r"rivals\['G0'\]", lambda m: vm.MarketVectorEnv(2, scenario, learner="G4", rivals=m)),
    ):
        with pytest.raises(TypeError, match=rf"{where}: .* torch module Sequential; MlpPolicy\.from_torch"):
            call(module)
        call(vm.MlpPolicy.from_torch(module))
