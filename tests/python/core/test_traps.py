"""Traps that earlier implementations of this environment fell into; last section of ``docs/market.md``."""

from __future__ import annotations

import math

import numpy as np
import pytest

import vecmarket as vm
from core.scenes import noisy, still, truthful
from vecmarket import _core


def noisy_market(horizon: int = 4) -> vm.Scenario:
    return vm.Scenario.default(n_generators=3, horizon=horizon)


def test_demand_noise_is_drawn_afresh_in_every_episode_and_follows_from_the_seed() -> None:
    """Trap: noise only redrawn when reset is given a seed."""
    engine = vm.Engine(noisy_market(), 1, seed=1)

    def episode() -> list[float]:
        demand = []
        for _ in range(4):
            engine.step(truthful(1, 3))
            demand.append(float(engine.demand[0]))
        return demand

    episodes = []
    for _ in range(3):
        engine.reset()
        episodes.append(episode())
    assert len({d for e in episodes for d in e}) == 12
    engine.reset(seed=1)
    assert episode() == episodes[0]


def test_every_agent_has_a_row_of_its_own() -> None:
    """Trap: one buffer shared between the agents."""
    engine = vm.Engine(noisy_market(), 2)
    engine.reset()
    rows = engine.observations.reshape(6, -1)
    for i in range(6):
        for j in range(i):
            assert not np.shares_memory(rows[i], rows[j])
    assert len(np.unique(engine.observations[0], axis=0)) == 3


def test_an_observation_that_a_vector_environment_gave_out_never_changes() -> None:
    """Trap: a kept observation changes later."""
    env = vm.MarketVectorEnv(3, noisy_market())
    observations, _ = env.reset(seed=0)
    kept = observations.copy()
    for _ in range(6):
        env.step(env.action_space.sample())
    assert observations.tobytes() == kept.tobytes()
    env.close()


def test_the_last_observation_is_a_true_one() -> None:
    """Trap: None, or the first observation of the next episode, as the last observation."""
    scenario = still([50, 50], [10, 20], [40, 60, 80], observation=("demand", "last_price"))
    engine = vm.Engine(scenario, 1)
    engine.reset()
    for _ in range(3):
        engine.step(truthful(1, 2))
    assert engine.terminated.all()
    # After the end of the series its last hour is seen again; the price is that of the step just played.
    np.testing.assert_array_equal(engine.observations[0], np.array([[1, 1], [1, 1]], dtype=np.float32))


def test_a_truthful_rival_stays_as_it_is_while_the_learner_changes() -> None:
    """Trap: frozen rivals that keep changing while the learner trains."""
    engine = _core.Engine(noisy_market(), 1, seats=["acts", "truthful", 5.0], threads=1)
    engine.keep_offers()
    offers = []
    for action in ((0.0, 0.0), (0.5, 2.0), (1.0, -10.0)):
        engine.reset(seed=0)
        engine.step(np.array([[action]], dtype=np.float32))
        prices, quantities = engine.offers()
        offers.append((prices[0, 1:].tolist(), quantities[0, 1:].tolist()))
    assert offers[0] == offers[1] == offers[2]
    assert offers[0][0] == [30.0, 45.0]


@pytest.mark.parametrize(
    ("tie_break", "dispatch"), [("pro_rata", [15.0, 30.0, 15.0]), ("index", [20.0, 40.0, 0.0])]
)
def test_ties_follow_the_stated_rule(tie_break: str, dispatch: list[float]) -> None:
    """Trap: ties go to whichever the sort puts first."""
    rules = vm.MarketRules(tie_break=tie_break)
    assert vm.clear([30.0] * 3, [20.0, 40.0, 20.0], 60.0, rules=rules).dispatch.tolist() == dispatch

    engine = vm.Engine(still([20, 40, 20], [30] * 3, [60], rules=rules), 1)
    engine.reset()
    engine.step(truthful(1, 3))
    assert engine.dispatch[0].tolist() == dispatch


def test_random_ties_are_drawn_anew_in_each_step_and_follow_from_the_seed() -> None:
    rules = vm.MarketRules(tie_break="random")
    engine = vm.Engine(still([10] * 4, [30] * 4, [10] * 40, rules=rules), 1, seed=6)

    def winners() -> list[int]:
        won = []
        for _ in range(40):
            engine.step(truthful(1, 4))
            won.append(int(engine.dispatch[0].argmax()))
        return won

    engine.reset()
    first = winners()
    assert set(first) == {0, 1, 2, 3}
    engine.reset()
    assert winners() != first
    engine.reset(seed=6)
    assert winners() == first


@pytest.mark.parametrize("demand", [0.0, -0.0, -7.5])
@pytest.mark.parametrize(("floor", "price"), [(None, 0.0), (-4.0, -4.0), (3.0, 3.0)])
def test_without_demand_nothing_is_dispatched(demand: float, floor: float | None, price: float) -> None:
    """Trap: demand <= 0 dispatches a negative quantity."""
    rules = vm.MarketRules(price_floor=floor)
    result = vm.clear([5.0, 10.0], [10.0, 10.0], demand, rules=rules)
    assert result.dispatch.tolist() == [0.0, 0.0]
    assert (result.price, result.unserved, result.curtailed) == (price, 0.0, max(0.0, -demand))
    assert math.copysign(1.0, result.curtailed) == 1.0
    assert result.marginal == -1

    engine = vm.Engine(still([10, 10], [5, 10], [demand], rules=rules), 1)
    engine.reset()
    engine.step(truthful(1, 2))
    assert engine.dispatch[0].tolist() == [0.0, 0.0]
    assert engine.prices.tolist() == [price]
    assert engine.rewards[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_offers_that_are_not_numbers_are_refused_and_named(bad: float) -> None:
    """Trap: NaN bids sort anywhere."""
    engine = vm.Engine(noisy_market(), 4)
    engine.reset()
    actions = noisy(4, 3)[0]
    actions[2, 1, 1] = bad
    state = engine.snapshot()
    with pytest.raises(ValueError, match=r"environment 2.*agent 1"):
        engine.step(actions)
    assert engine.snapshot() == state
    with pytest.raises(ValueError, match="prices"):
        vm.clear([1.0, bad], [1.0, 1.0], 1.0)
    with pytest.raises(ValueError, match="quantities"):
        vm.clear([1.0, 1.0], [1.0, bad], 1.0)
    with pytest.raises(ValueError, match="demand"):
        vm.clear([1.0, 1.0], [1.0, 1.0], bad)


@pytest.mark.parametrize("tie_break", ["pro_rata", "index", "random"])
def test_zero_quantity_offers_never_set_a_price(tie_break: str) -> None:
    """Trap: they do in shortage. Nor at the margin, nor at a kink."""
    prices, quantities = [10.0, 20.0, 90.0], [5.0, 5.0, 0.0]
    for kink in ("lower", "upper", "mid"):
        rules = vm.MarketRules(tie_break=tie_break, kink=kink)
        assert vm.clear(prices, quantities, 12.0, rules=rules).price == 20.0
        assert vm.clear(prices, quantities, 10.0, rules=rules).price == 20.0
        assert vm.clear([10.0, 15.0, 20.0], [5.0, 0.0, 5.0], 5.0, rules=rules).price in (10.0, 20.0, 15.0)
    upper = vm.MarketRules(tie_break=tie_break, kink="upper")
    assert vm.clear([10.0, 12.0, 20.0], [5.0, 0.0, 5.0], 5.0, rules=upper).price == 20.0

    # In the engine: everything withheld, and a unit of no capacity.
    engine = vm.Engine(still([5, 5, 0], [10, 20, 90], [12, 12], rules=vm.MarketRules(tie_break=tie_break)), 1)
    engine.reset()
    engine.step(truthful(1, 3))
    assert engine.prices.tolist() == [20.0]
    withheld = truthful(1, 3)
    withheld[0, 1, 0] = 1.0
    engine.step(withheld)
    assert engine.prices.tolist() == [10.0]
    assert engine.unserved.tolist() == [7.0]


@pytest.mark.parametrize(
    ("floor", "cap", "price"), [(None, None, 0.0), (-5.0, None, 0.0), (7.0, None, 7.0), (7.0, 90.0, 90.0)]
)
@pytest.mark.parametrize("pricing", ["uniform", "pay_as_bid"])
def test_the_price_when_nothing_is_offered(
    pricing: str, floor: float | None, cap: float | None, price: float
) -> None:
    rules = vm.MarketRules(pricing=pricing, price_floor=floor, price_cap=cap)
    result = vm.clear([10.0, 20.0], [0.0, 0.0], 30.0, rules=rules)
    assert (result.price, result.unserved, result.marginal) == (price, 30.0, -1)


def test_scarcity_pays_the_cap_or_the_dearest_offer() -> None:
    offers = ([10.0, 40.0, 20.0], [5.0, 5.0, 5.0], 20.0)
    assert vm.clear(*offers).price == 40.0
    cap = vm.MarketRules(scarcity="cap", price_cap=500.0)
    result = vm.clear(*offers, rules=cap)
    assert (result.price, result.unserved, result.marginal) == (500.0, 5.0, 1)
    own = vm.MarketRules(scarcity="cap", price_cap=500.0, pricing="pay_as_bid")
    assert vm.clear(*offers, rules=own).price == 40.0


def test_pay_as_bid_pays_everybody_its_own_offer() -> None:
    scenario = still([50, 50], [10, 20], [70], rules=vm.MarketRules(pricing="pay_as_bid"), max_bid_delta=1e9)
    engine = vm.Engine(scenario.replace(rules=vm.MarketRules(pricing="pay_as_bid", price_cap=60.0)), 1)
    engine.reset()
    actions = truthful(1, 2)
    actions[0, 1, 1] = 10.0
    engine.step(actions)
    assert engine.prices.tolist() == [60.0]
    assert engine.profits[0].tolist() == [0.0, 800.0]


def test_the_bid_penalty_uses_the_offer_after_floor_and_cap() -> None:
    scenario = still([50], [10], [20], rules=vm.MarketRules(price_cap=12.0)).replace(
        reward=vm.Reward(bid_penalty=1.0, scale=1.0)
    )
    engine = vm.Engine(scenario, 1)
    engine.reset()
    engine.step(np.array([[[0.0, 10.0]]], dtype=np.float32))
    assert engine.rewards.tolist() == [[2.0 * 20.0 - 4.0]]


def test_an_action_outside_its_box_counts_as_the_nearest_legal_one() -> None:
    engine = vm.Engine(still([50, 50], [10, 20], [70, 70]), 2)
    engine.keep_offers()
    engine.reset()
    outside = np.array([[[-3.0, 99.0], [2.0, -99.0]], [[0.0, 10.0], [1.0, -10.0]]], dtype=np.float32)
    engine.step(outside)
    prices, quantities = engine.offers()
    assert prices[0].tobytes() == prices[1].tobytes()
    assert quantities[0].tolist() == quantities[1].tolist() == [50.0, 0.0]


def test_a_step_before_the_first_reset_is_refused() -> None:
    engine = vm.Engine(noisy_market(), 2)
    with pytest.raises(ValueError, match=r"environment 0.*reset"):
        engine.step(truthful(2, 3))


def test_a_finished_environment_is_refused_and_nothing_changes() -> None:
    engine = vm.Engine(noisy_market(horizon=1), 3)
    engine.reset()
    engine.step(truthful(3, 3))
    engine.reset(mask=np.array([True, False, True]))
    state = engine.snapshot()
    with pytest.raises(ValueError, match="environment 1"):
        engine.step(truthful(3, 3))
    assert engine.snapshot() == state


@pytest.mark.parametrize(
    ("episode_end", "flags"), [("terminate", (True, False)), ("truncate", (False, True))]
)
def test_the_end_of_an_episode_is_what_the_scenario_says(episode_end: str, flags: tuple[bool, bool]) -> None:
    engine = vm.Engine(still([50], [10], [20, 20], episode_end=episode_end), 1)
    engine.reset()
    engine.step(truthful(1, 1))
    assert (engine.terminated[0], engine.truncated[0]) == (False, False)
    engine.step(truthful(1, 1))
    assert (engine.terminated[0], engine.truncated[0]) == flags


def test_offers_of_another_step_are_not_handed_out() -> None:
    """Offers are kept from a step on; what was not kept is an error, and never an older step's or zeros."""
    steep = np.full((2, 2, 2), 0.2, np.float32)
    keeping, plain = (vm.Engine(still([50, 50], [10, 20], [70, 70, 70]), 2, threads=1) for _ in range(2))
    with pytest.raises(RuntimeError, match=r"call keep_offers\(\) before the step"):
        plain.offers()
    keeping.keep_offers()
    for engine in (keeping, plain):
        engine.reset()
        engine.step(steep)
    known = keeping.offers()[0]
    keeping.restore(plain.snapshot())  # the same moment, without its offers
    with pytest.raises(RuntimeError, match="were not kept"):
        keeping.offers()
    plain.keep_offers()
    with pytest.raises(RuntimeError, match="were not kept"):
        plain.offers()
    for engine in (keeping, plain):
        engine.step(steep)
        np.testing.assert_array_equal(engine.offers()[0], known)
    again = vm.Engine(keeping.scenario, 2, threads=1)
    again.keep_offers()
    again.restore(keeping.snapshot())
    np.testing.assert_array_equal(again.offers()[0], known)
