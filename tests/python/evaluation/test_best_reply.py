"""The best reply by enumeration: known outcomes, brute force on paper, and the orientation figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vecmarket as vm
from evaluation.markets import offer, one_hour
from vecmarket.evaluation import Episodes, Grid, best_replies, evaluate, play, truthful

BELOW = Grid().below

# Ground truth "residual_best_reply": a fringe and one firm, which stands last so that it loses ties.
FRINGE = [(40.0, 10.0), (30.0, 40.0), (30.0, 60.0), (50.0, 80.0)]
FIRM = (50.0, 5.0)
FRINGE_AND_FIRM = one_hour([*FRINGE, FIRM], 110.0, reach=95.0, tie_break="index")


def only_episode(scenario: vm.Scenario, learner: int) -> Episodes:
    return Episodes(scenario, learner, None, days=(0,), seeds=(0,))


def test_known_truthful_outcome() -> None:
    honest = play(only_episode(FRINGE_AND_FIRM, 4), truthful)
    assert (honest.price[0, 0], honest.dispatch[0, 0], honest.profit[0, 0]) == (40.0, 50.0, 1750.0)


def test_known_best_reply_on_whole_dollars() -> None:
    # A hair above the dollar: a float32 action cannot say 60 exactly, and the firm has to lose the tie.
    fixed = only_episode(FRINGE_AND_FIRM, 4)
    profit = {bid: play(fixed, offer(bid - 5.0 + 1e-4, reach=95.0)).profit[0, 0] for bid in range(6, 100)}
    assert max(profit, key=profit.__getitem__) == 59
    assert profit[59] == pytest.approx(2160.0, abs=0.01)


def test_known_supremum_is_approached_from_below() -> None:
    fixed = only_episode(FRINGE_AND_FIRM, 4)
    best, _ = best_replies(fixed, play(fixed, truthful), Grid(withheld=(0.0,), residual=False))
    assert 2200.0 - 50.0 * 2 * BELOW <= best.profit[0, 0] < 2200.0
    assert best.offer_price[0, 0] == pytest.approx(60.0, abs=2 * BELOW)
    assert best.dispatch[0, 0] == 40.0


def test_withholding_lets_a_rival_beyond_reach_set_the_price() -> None:
    # Unit 0 reaches 15 $/MWh; offering 43 of 50 MW makes the unit at 100 $/MWh marginal: (100 - 10) * 43.
    fixed = only_episode(one_hour([(50.0, 10.0), (20.0, 9.0), (100.0, 100.0)], 63.0, reach=5.0), 0)
    best, by_reward = best_replies(fixed, play(fixed, truthful))
    for found in (best, by_reward):
        assert 3870.0 * (1 - 1e-5) <= found.profit[0, 0] < 3870.0
        assert found.price[0, 0] == 100.0
    without, _ = best_replies(fixed, play(fixed, truthful), Grid(residual=False))
    assert without.profit[0, 0] < best.profit[0, 0]


def supremum(units: list[tuple[float, float]], demand: float) -> float:
    """The most that unit 0 can earn under the uniform price against honest rivals, its offer unbounded above.

    Just below a rival's offer p it sells what the rivals cheaper than p leave.
    """
    (capacity, srmc), rivals = units[0], sorted((c, mw) for mw, c in units[1:])
    earned = [0.0]
    for price, _ in rivals:
        cheaper = sum(mw for c, mw in rivals if c < price)
        earned.append((price - srmc) * min(capacity, max(0.0, demand - cheaper)))
    return max(earned)


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(
        st.tuples(st.integers(5, 60).map(float), st.integers(1, 40).map(float)), min_size=3, max_size=6
    ),
    share=st.floats(0.05, 0.999),
    reach=st.sampled_from([2.0, 10.0, 45.0]),
)
def test_nothing_beats_the_supremum_and_the_grid_reaches_it(
    units: list[tuple[float, float]], share: float, reach: float
) -> None:
    # A price beyond reach is set by the rival itself, once the unit leaves it at the margin.
    # Unit 0 is never pivotal: the others can serve all demand, so that the supremum is finite.
    demand = share * sum(mw for mw, _ in units[1:])
    fixed = only_episode(one_hour(units, demand, reach=reach), 0)
    best, by_reward = best_replies(fixed, play(fixed, truthful))
    most = supremum(units, demand)
    # What the grid stays below a rival's offer, and the sliver that it withholds beyond need.
    slack = units[0][0] * 2 * BELOW + 2e-6 * (demand + units[0][0]) * max(cost for _, cost in units)
    assert most - slack <= best.profit[0, 0] <= most + slack
    # The reward is the profit in these markets.
    assert by_reward.reward[0, 0] == pytest.approx(best.profit[0, 0], rel=1e-6)


@pytest.mark.parametrize("pricing", ["uniform", "pay_as_bid"])
def test_no_other_offer_does_better(pricing: str) -> None:
    market = one_hour([*FRINGE, FIRM], 110.0, reach=95.0, pricing=pricing)
    fixed = only_episode(market, 4)
    best, _ = best_replies(fixed, play(fixed, truthful))
    rng = np.random.default_rng(0)
    for _ in range(200):
        tried = offer(rng.uniform(-90.0, 94.0), withheld=rng.uniform(0.0, 1.0), reach=95.0)
        assert play(fixed, tried).profit[0, 0] <= best.profit[0, 0] + 50.0 * 2 * BELOW


def test_by_reward_and_by_profit_differ_where_bids_are_penalised() -> None:
    # 1 MW is left for the firm: raising the price by d earns d and costs 0.05 d^2, so 10 is best by reward.
    market = one_hour([(100.0, 10.0), (50.0, 20.0)], 101.0).replace(
        reward=vm.Reward(bid_penalty=0.05, unserved_penalty=0.0, scale=1.0)
    )
    fixed = only_episode(market, 1)
    by_profit, by_reward = best_replies(fixed, play(fixed, truthful), Grid(withheld=(0.0,), residual=False))
    assert by_profit.offer_price[0, 0] == pytest.approx(70.0, abs=1e-4)
    assert by_reward.offer_price[0, 0] == pytest.approx(30.0, abs=1e-4)
    assert by_reward.reward[0, 0] == pytest.approx(5.0, abs=1e-4)


def test_a_drawn_reach_is_measured() -> None:
    market = one_hour([(100.0, 10.0), (50.0, 20.0)], 110.0).replace(
        bidding=vm.Bidding(max_bid_delta=vm.Choice((30.0, 60.0)))
    )
    fixed = Episodes(market, 1, None, days=(0,) * 16, seeds=tuple(range(16)))
    best, _ = best_replies(fixed, play(fixed, truthful))
    # Pivotal for 10 MW, so that the best offer is the dearest that can be said.
    assert set(np.round(best.offer_price[:, 0], 3)) == {50.0, 80.0}


def test_one_episode_at_a_time_and_all_together_agree() -> None:
    scenario = vm.Scenario.default()
    together = Episodes(scenario, 4, None, days=(0,) * 3, seeds=(11, 12, 13))
    best, _ = best_replies(together, play(together, truthful))
    for i, seed in enumerate((11, 12, 13)):
        alone = Episodes(scenario, 4, None, days=(0,), seeds=(seed,))
        np.testing.assert_array_equal(best_replies(alone, play(alone, truthful))[0].profit[0], best.profit[i])


def test_orientation_on_ieee_rts() -> None:
    """Every 37th hour of the year: the figures stand in the project's orientation, to their last digit."""
    year = vm.Scenario.ieee_rts()
    hours = year.demand.series_mw[::37]
    sample = year.replace(demand=vm.Demand(hours), horizon=len(hours), episode_start="first")
    result = evaluate(sample, "U350_1", truthful)
    figures = {m.key: m for m in result.metrics()}
    assert figures["profit"].truthful == pytest.approx(1041.0, abs=1.0)
    assert figures["profit"].best == pytest.approx(2241.0, abs=2.0)
    assert figures["price"].truthful == pytest.approx(17.8, abs=0.1)
    assert figures["price"].best == pytest.approx(24.9, abs=0.2)
    assert figures["hours_gained"].best == pytest.approx(45.0, abs=1.0)


def test_orientation_on_default() -> None:
    """Agent 4 is pivotal at the peak; 512 fixed draws leave the mean within about 0.005."""
    result = evaluate(vm.Scenario.default(), 4, truthful)
    assert len(result.episodes) == 512
    figures = {m.key: m for m in result.metrics()}
    assert figures["return"].truthful == 0.0
    assert figures["return"].best == pytest.approx(0.134, abs=0.01)
    # A markup d earns d on the r MW that the four others leave, less 0.01 d^2: best at 50 r, and at most 50.
    left = np.clip(result.truthful.demand - 120.0, 0.0, 30.0)
    scale = 20.0 / (max(result.episodes.scenario.demand.series_mw) * 40.0 * 24.0)
    markup = np.minimum(50.0, 50.0 * left)
    by_hand = scale * (markup * left - 0.01 * markup**2)
    np.testing.assert_allclose(result.best_reward.reward, by_hand, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"spacing": 0.0}, "spacing"), ({"below": -1.0}, "below"), ({"withheld": (0.5,)}, "withheld")],
)
def test_a_bad_grid_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Grid(**arguments)


@pytest.mark.parametrize("withholding", ["no", 0, None])
def test_withholding_is_a_truth(withholding: Any) -> None:
    with pytest.raises(TypeError, match=f"withholding: must be True or False, got {withholding!r}"):
        Grid.critical(withholding=withholding)
