"""Markets whose outcome is known: made-up ones, which always run, and the published file where it is there.

Every check is a function of the figures, so that both kinds run the same code. Offers on a grid of prices go
through `vm.clear`, where they are exact; the engine then plays the equilibria.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vecmarket as vm
from core.scenes import still, truthful

Figures = dict[str, Any]
Floats = NDArray[np.float64]
INDEX = "index"
STEP = 0.5  # $/MWh between the offers that a deviation may try


def outcome(
    figures: Figures, bids: NDArray[np.float64], demand: float
) -> tuple[NDArray[np.float64], vm.Clearing]:
    """Clear rows of bids (N, G) with everything offered; return profits (N, G) and the clearing."""
    capacity = np.broadcast_to(np.array(figures["capacity"], dtype=float), bids.shape)
    rules = vm.MarketRules(tie_break=INDEX, price_floor=0.0, price_cap=figures.get("cap"))
    result = vm.clear(bids, capacity, np.full(len(bids), demand), rules=rules)
    profits = (np.asarray(result.price)[:, None] - np.array(figures["cost"])) * result.dispatch
    return profits, result


def best_deviation(figures: Figures, bids: list[float], firm: int, demand: float) -> float:
    """Return the largest profit of one firm over a grid of offers, the others' offers given."""
    grid = np.arange(0, figures["cap"] + STEP / 2, STEP)
    rows = np.tile(np.array(bids, dtype=float), (len(grid), 1))
    rows[:, firm] = grid
    return float(outcome(figures, rows, demand)[0][:, firm].max())


def is_equilibrium(figures: Figures, bids: list[float], demand: float) -> bool:
    own = outcome(figures, np.array([bids], dtype=float), demand)[0][0]
    return all(best_deviation(figures, bids, firm, demand) <= own[firm] + 1e-9 for firm in range(len(bids)))


def engine_of(figures: Figures, demand: float, envs: int = 1) -> vm.Engine:
    """Return an engine whose price parameter reaches floor and cap from every cost."""
    rules = vm.MarketRules(tie_break=INDEX, price_floor=0.0, price_cap=figures["cap"])
    scenario = still(
        figures["capacity"], figures["cost"], [demand], rules=rules, max_bid_delta=2.0 * figures["cap"]
    )
    engine = vm.Engine(scenario, envs)
    engine.reset()
    return engine


# The checks


def check_truthful(figures: Figures) -> None:
    bids = np.array([figures["cost"]], dtype=float)
    profits, result = outcome(figures, bids, figures["demand"])
    assert np.asarray(result.price).tolist() == [figures["price"]]
    assert result.dispatch.tolist() == [figures["dispatch"]]
    assert profits.tolist() == [figures["profit"]]

    engine = vm.Engine(still(figures["capacity"], figures["cost"], [figures["demand"]]), 1)
    engine.reset()
    engine.step(truthful(1, len(figures["cost"])))
    assert engine.prices.tolist() == [figures["price"]]
    assert engine.dispatch.tolist() == [figures["dispatch"]]
    assert engine.rewards.tolist() == [figures["profit"]]


def check_kink(figures: Figures) -> None:
    for kink in ("lower", "upper", "mid"):
        rules = vm.MarketRules(kink=kink)
        result = vm.clear(figures["cost"], figures["capacity"], figures["kink"]["demand"], rules=rules)
        assert result.price == figures["kink"][kink]


def check_low_demand_duopoly(figures: Figures) -> None:
    """The dearer firm's cost caps the price; both bid it, the cheaper firm runs."""
    bids = [figures["price"]] * 2
    profits, result = outcome(figures, np.array([bids], dtype=float), figures["demand"])
    assert np.asarray(result.price).tolist() == [figures["price"]]
    assert profits.tolist() == [figures["profit"]]
    assert is_equilibrium(figures, bids, figures["demand"])


def check_high_demand_duopoly(figures: Figures) -> None:
    """One firm bids the cap; the other bids anything up to a bound, above which undercutting it would pay."""
    cap, demand = figures["cap"], figures["demand"]
    for equilibrium in figures["equilibria"]:
        at_cap, bound = equilibrium["at_cap"], equilibrium["rival_bid_at_most"]

        def bids(rival: float, at_cap: int = at_cap) -> list[float]:
            return [float(cap), rival] if at_cap == 0 else [rival, float(cap)]

        for rival in np.linspace(0, bound, 6).tolist():
            profits, result = outcome(figures, np.array([bids(rival)]), demand)
            assert np.asarray(result.price).tolist() == [figures["price"]]
            assert profits.tolist() == [equilibrium["profit"]]
            assert is_equilibrium(figures, bids(rival), demand)
        assert not is_equilibrium(figures, bids(bound + 2 * STEP), demand)


def check_high_demand_duopoly_in_the_engine(figures: Figures) -> None:
    """The same by actions: the ends of the price parameter reach cap and floor; no other action pays more."""
    tries = np.linspace(-4, 4, 801, dtype=np.float32)
    for equilibrium in figures["equilibria"]:
        at_cap = equilibrium["at_cap"]
        for firm in range(2):
            engine = engine_of(figures, figures["demand"], envs=len(tries) + 1)
            actions = truthful(len(tries) + 1, 2)
            actions[:, at_cap, 1] = 10
            actions[:, 1 - at_cap, 1] = -10
            actions[1:, firm, 1] = tries
            engine.step(actions)
            assert engine.prices[0] == figures["price"]
            assert engine.profits[0].tolist() == equilibrium["profit"]
            assert engine.profits[1:, firm].max() <= equilibrium["profit"][firm]


def check_nobody_is_pivotal(figures: Figures, demand: float, price: float) -> None:
    bids = [float(c) for c in figures["cost"]]
    profits, result = outcome(figures, np.array([bids]), demand)
    assert np.asarray(result.price).tolist() == [price]
    assert not profits.any()
    assert is_equilibrium(figures, bids, demand)


def check_residual_best_reply(figures: Figures) -> None:
    """The firm stands last, so that it loses ties; it searches whole dollars with everything offered."""
    firm, best = figures["firm"], figures["best_reply_on_whole_dollars"]
    market = {
        "capacity": [*figures["fringe_capacity"], firm["capacity"]],
        "cost": [*figures["fringe_bids"], firm["cost"]],
    }
    offers = np.append(np.arange(0.0, 101.0), firm["cost"])
    bids = np.column_stack([np.tile(np.array(figures["fringe_bids"], dtype=float), (len(offers), 1)), offers])
    profits, result = outcome(market, bids, figures["demand"])
    price, dispatch, profit = np.asarray(result.price), result.dispatch[:, -1], profits[:, -1]

    plain = figures["truthful"]
    assert (price[-1], dispatch[-1], profit[-1]) == (plain["price"], plain["dispatch"], plain["profit"])
    found = int(profit.argmax())
    assert (offers[found], price[found], dispatch[found], profit[found]) == (
        best["bid"],
        best["price"],
        best["dispatch"],
        best["profit"],
    )

    # A finer grid comes closer to the bound and never reaches it.
    fine = np.arange(best["bid"], best["bid"] + 1, 2.0**-10)
    rows = np.column_stack([np.tile(bids[0, :-1], (len(fine), 1)), fine])
    finer = outcome(market, rows, figures["demand"])[0][:, -1].max()
    assert best["profit"] < finer < figures["supremum_profit"]
    assert figures["supremum_profit"] - finer < 0.1


# Made-up figures

TRUTHFUL: Figures = {
    "capacity": [30, 20, 40],
    "cost": [5, 12, 26],
    "demand": 60,
    "price": 26,
    "dispatch": [30, 20, 10],
    "profit": [630, 280, 0],
    "kink": {"demand": 50, "lower": 12, "upper": 26, "mid": 19},
}
# Undercutting an offer of r at the cap of 60 pays (60 - c) * 20 at the cap against (r - c) * 60 below it.
LOW_DEMAND: Figures = {
    "capacity": [60, 60],
    "cost": [6, 18],
    "demand": 50,
    "cap": 60,
    "price": 18,
    "profit": [600, 0],
}
HIGH_DEMAND: Figures = {
    "capacity": [60, 60],
    "cost": [6, 18],
    "demand": 80,
    "cap": 60,
    "price": 60,
    "equilibria": [
        {"at_cap": 1, "rival_bid_at_most": 32, "profit": [3240, 840]},
        {"at_cap": 0, "rival_bid_at_most": 24, "profit": [1080, 2520]},
    ],
}
RESIDUAL: Figures = {
    "fringe_capacity": [20, 25, 30],
    "fringe_bids": [8, 30, 70],
    "firm": {"capacity": 30, "cost": 4},
    "demand": 60,
    "truthful": {"price": 30, "dispatch": 30, "profit": 780},
    "best_reply_on_whole_dollars": {"bid": 69, "price": 69, "dispatch": 15, "profit": 975},
    "supremum_profit": 990,
}


def test_made_up_truthful() -> None:
    check_truthful(TRUTHFUL)
    check_kink(TRUTHFUL)


def test_made_up_duopolies() -> None:
    check_low_demand_duopoly(LOW_DEMAND)
    check_high_demand_duopoly(HIGH_DEMAND)
    check_high_demand_duopoly_in_the_engine(HIGH_DEMAND)


def test_made_up_firms_without_market_power() -> None:
    check_nobody_is_pivotal({"capacity": [10, 10, 10, 10], "cost": [7, 7, 7, 7], "cap": 50}, 29, 7)


def test_made_up_residual_best_reply() -> None:
    check_residual_best_reply(RESIDUAL)


def test_the_check_for_an_equilibrium_can_fail() -> None:
    assert not is_equilibrium(LOW_DEMAND, [17.0, 18.0], LOW_DEMAND["demand"])
    assert not is_equilibrium(HIGH_DEMAND, [60.0, 60.0], HIGH_DEMAND["demand"])


# The published figures


def test_truthful(ground_truth: Figures) -> None:
    check_truthful(ground_truth["truthful"])
    check_kink(ground_truth["truthful"])


def test_duopoly_low_demand(ground_truth: Figures) -> None:
    check_low_demand_duopoly(ground_truth["duopoly_low_demand"])


def test_duopoly_high_demand(ground_truth: Figures) -> None:
    check_high_demand_duopoly(ground_truth["duopoly_high_demand"])
    check_high_demand_duopoly_in_the_engine(ground_truth["duopoly_high_demand"])


def test_three_firms(ground_truth: Figures) -> None:
    figures = ground_truth["three_firms"]
    check_nobody_is_pivotal(figures, 180, figures["demand_180"]["price"])


def test_residual_best_reply(ground_truth: Figures) -> None:
    check_residual_best_reply(ground_truth["residual_best_reply"])


@pytest.mark.parametrize("tie_break", ["pro_rata", "index", "random"])
def test_truthful_under_every_tie_rule(tie_break: str) -> None:
    rules = vm.MarketRules(tie_break=tie_break)
    result = vm.clear(TRUTHFUL["cost"], TRUTHFUL["capacity"], TRUTHFUL["demand"], rules=rules)
    assert result.dispatch.tolist() == TRUTHFUL["dispatch"]
