"""Markets whose equilibria are known, reached by learning: prices, profits, and nothing to gain by deviating.

The figures are those of ``tests/python/core/test_known_outcomes.py``. What the settings are for:

* Offers are prices only (``withholding=False``), as in the auctions that the equilibria are of. With
  withholding there are others: the cheap firm of the low-demand duopoly leaves its rival one MW to be pivotal
  on, and the price is the cap.
* gamma is 0, since an offer changes nothing in the next hour; one hour is an episode, a rollout and a day.
* The spread of the price parameter falls to e^-6: times the reach of 100 $/MWh that is a quarter of a $/MWh.
  A policy that is learned with a spread stays about two of it below an offer that it must not exceed, half a
  $/MWh; the tolerance is twice that. Truthful bids start at 10 in the low-demand duopoly, at 30 in the other.
* Best responses start from several markups with a spread of e^-2, 13 $/MWh, since the profit has an optimum
  below each rival's offer and a slope from none to the next. A single start with a wide spread takes the one
  that is best on average over that spread: in the residual market 1750 $ instead of 2186 $.
* Learning together starts with a spread of 1, which reaches all prices. The offers of a firm that cannot earn
  anything drift upwards, the other follows, and is undercut; with one policy for both they are moved by each
  other's gradients too, so that the price is only near (2.5 $/MWh).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from core.scenes import still
from core.test_known_outcomes import HIGH_DEMAND, LOW_DEMAND, RESIDUAL
from vecmarket.training import TrainConfig, market_ppo
from vecmarket.training.games import FixedEpisodes, GameConfig, GameRun, make_game
from vecmarket.training.games.config import Schedule

Figures = dict[str, Any]

MARKETS = 256
NEAR = 1.0  # $/MWh
TOGETHER = dataclasses.replace(
    market_ppo(),
    rollout_steps=1,
    minibatches=1,
    hidden=(8,),
    learning_rate=5e-3,
    target_kl=0.03,  # small steps, since the others move, too
    max_gradient_norm=0.5,
    observation_range=3.0,
    initial_log_std=0.0,
    final_log_std=-6.0,
    log_std_power=1.0,
)
RESPONSES = dataclasses.replace(TOGETHER, initial_log_std=-2.0)
THREE_FIRMS: Figures = {"capacity": [50, 50, 50], "cost": [12, 12, 12], "cap": 60}  # as LOW_DEMAND's cap


def market(figures: Figures, demand: float | None = None) -> vm.Scenario:
    cap = figures.get("cap", 100)
    return still(
        figures["capacity"],
        figures["cost"],
        [figures["demand"] if demand is None else demand],
        rules=vm.MarketRules(tie_break="index", price_floor=0.0, price_cap=float(cap)),
        max_bid_delta=float(cap),
    )


def learned(scenario: vm.Scenario, game: Schedule, iterations: int, **settings: Any) -> Any:
    together = game in ("independent", "shared")
    seed = settings.pop("seed", 0)
    run = GameRun(
        GameConfig(
            game=game,
            round_steps=iterations * MARKETS,
            withholding=False,
            episodes=1,
            **settings,
        ),
        TrainConfig(seed=seed, num_envs=MARKETS, ppo=TOGETHER if together else RESPONSES),
    )
    learner = make_game(run, scenario)
    while not learner.finished:
        learner.iterate()
    return learner


def outcome(scenario: vm.Scenario, learner: Any) -> Any:
    return FixedEpisodes(scenario, (0,), (0,)).play(learner.strategies)


def most_to_gain(scenario: vm.Scenario, learner: Any) -> list[float]:
    """Return each agent's gain from the best of all offers half a dollar apart, the others as they are."""
    episodes = FixedEpisodes(scenario, (0,), (0,))
    own = episodes.play(learner.strategies).profit
    gains = []
    cap = scenario.rules.price_cap
    assert isinstance(cap, float)
    for agent, unit in enumerate(scenario.generators):
        profits = []
        for price in np.arange(unit.srmc, cap + 0.5, 0.5):  # below its cost nobody gains
            profile = list(learner.strategies)
            profile[agent] = float(min(price, cap) - unit.srmc)
            profits.append(episodes.play(profile).profit[agent])
        gains.append(max(profits) - own[agent])
    return gains


# The checks


def check_low_demand(figures: Figures, game: Schedule, **settings: Any) -> None:
    """The price comes to the dearer firm's cost from below (responses) or from above and below (together)."""
    scenario = market(figures)
    near = 2.5 if game == "shared" else NEAR
    learner = learned(scenario, game, **settings)
    found = outcome(scenario, learner)
    loss = near * figures["demand"]
    assert found.price == pytest.approx(figures["price"], abs=near)
    assert found.profit[0] == pytest.approx(figures["profit"][0], abs=loss)
    assert found.profit[1] == 0
    assert max(most_to_gain(scenario, learner)) <= loss


def check_high_demand(figures: Figures, game: Schedule, **settings: Any) -> None:
    """One of the two equilibria, exactly: the cap is the end of the action, and the other offer is any."""
    scenario = market(figures)
    learner = learned(scenario, game, **settings)
    found = outcome(scenario, learner)
    assert found.price == pytest.approx(figures["price"], abs=0.01)
    reached = [
        found.profit.tolist() == pytest.approx(equilibrium["profit"], rel=1e-3)
        for equilibrium in figures["equilibria"]
    ]
    assert reached.count(True) == 1
    if game == "shared":  # nothing keeps the lower offer as low as it has to be to deter undercutting
        return
    assert max(most_to_gain(scenario, learner)) <= 1e-3 * max(found.profit)


def check_three_firms(figures: Figures, demand: float, game: Schedule, **settings: Any) -> None:
    scenario = market(figures, demand)
    learner = learned(scenario, game, **settings)
    assert outcome(scenario, learner).price == pytest.approx(figures["cost"][0], abs=NEAR)
    assert max(most_to_gain(scenario, learner)) <= NEAR * demand
    # and it was not there all the time
    assert learner.rows[0]["price"] > figures["cost"][0] + 2 * NEAR


def check_nobody_leaves_the_cost(figures: Figures, demand: float) -> None:
    scenario = market(figures, demand)
    learner = learned(scenario, "iterated", 30, rounds=2, patience=1, starts=2)
    assert learner.settled
    assert learner.strategies == ["truthful"] * 3
    assert all(row["gain"] <= 1.0 for row in learner.rows)


def check_residual(figures: Figures, **settings: Any) -> None:
    firm = figures["firm"]
    scenario = market(
        {
            "capacity": [*figures["fringe_capacity"], firm["capacity"]],
            "cost": [*figures["fringe_bids"], firm["cost"]],
            "demand": figures["demand"],
        }
    )
    place = len(figures["fringe_bids"])
    learner = learned(scenario, "iterated", agents=(place,), rounds=1, **settings)
    (row,) = learner.rows
    assert 0.99 * figures["supremum_profit"] < row["profit"] < figures["supremum_profit"]
    gain = row["profit"] - figures["truthful"]["profit"]
    assert row["gain"] == pytest.approx(gain)


# The published figures


@pytest.mark.parametrize(("game", "seed"), [("iterated", 0), ("iterated", 1), ("simultaneous", 0)])
def test_best_responses_find_the_low_demand_price(ground_truth: Figures, game: Schedule, seed: int) -> None:
    figures = ground_truth["duopoly_low_demand"]
    check_low_demand(figures, game, iterations=40, rounds=2, patience=1, starts=2, seed=seed)


@pytest.mark.parametrize("game", ["independent", "shared"])
def test_learning_together_finds_the_low_demand_price(ground_truth: Figures, game: Schedule) -> None:
    check_low_demand(ground_truth["duopoly_low_demand"], game, iterations=40, rounds=4)


@pytest.mark.parametrize("game", ["iterated", "simultaneous", "independent", "shared"])
def test_high_demand(ground_truth: Figures, game: Schedule) -> None:
    settings = {"rounds": 3, "iterations": 30}
    if game in ("iterated", "simultaneous"):
        settings |= {"patience": 1, "starts": 2}
    check_high_demand(ground_truth["duopoly_high_demand"], game, **settings)


@pytest.mark.parametrize("game", ["independent", "shared"])
def test_three_firms_compete_down_to_their_cost(ground_truth: Figures, game: Schedule) -> None:
    check_three_firms(ground_truth["three_firms"], 180, game, iterations=30, rounds=4)


def test_three_firms_stay_at_their_cost(ground_truth: Figures) -> None:
    check_nobody_leaves_the_cost(ground_truth["three_firms"], 180)


def test_residual_best_reply(ground_truth: Figures) -> None:
    check_residual(ground_truth["residual_best_reply"], iterations=60, starts=4)


# Made-up figures, so that the checks run wherever the published ones are not


def test_made_up_duopolies() -> None:
    check_low_demand(LOW_DEMAND, "iterated", iterations=40, rounds=2, patience=1, starts=2)
    check_high_demand(HIGH_DEMAND, "shared", iterations=40, rounds=2)


def test_made_up_three_firms() -> None:
    check_three_firms(THREE_FIRMS, 90, "shared", iterations=40, rounds=4)


def test_made_up_residual_best_reply() -> None:
    check_residual(RESIDUAL, iterations=60, starts=4)


# What the settings are for


def test_a_wide_spread_takes_the_optimum_that_is_best_on_average() -> None:
    """Why there are several starts: a single one with a spread of all prices stays below the first rival."""
    fringe, firm = RESIDUAL["fringe_bids"], RESIDUAL["firm"]
    units = {
        "capacity": [*RESIDUAL["fringe_capacity"], firm["capacity"]],
        "cost": [*fringe, firm["cost"]],
        "demand": RESIDUAL["demand"],
    }
    wide = dataclasses.replace(TrainConfig(num_envs=MARKETS), ppo=TOGETHER)
    game = GameConfig(
        game="iterated", agents=(3,), rounds=1, round_steps=60 * MARKETS, withholding=False, episodes=1
    )
    learner = make_game(GameRun(game, wide), market(units))
    while not learner.finished:
        learner.iterate()
    (row,) = learner.rows
    assert row["profit"] == pytest.approx(RESIDUAL["truthful"]["profit"])
    assert row["price"] == RESIDUAL["truthful"]["price"]


def test_fictitious_play_comes_closer_to_an_equilibrium(ground_truth: Figures) -> None:
    """What can be gained against the mixtures falls from thousands to a small part, about as 1 / rounds."""
    figures = ground_truth["duopoly_high_demand"]
    scenario = market(figures)
    learner = learned(scenario, "fictitious", 30, rounds=5, patience=0, starts=2, initial=40.0)
    gains = [max(r["gain"] for r in learner.rows if r["round"] == k) for k in range(1, 6)]
    assert gains[0] > 1000
    assert gains[-1] < gains[0] / 3
    assert learner.rows[-1]["price"] == pytest.approx(figures["price"], abs=0.01)
