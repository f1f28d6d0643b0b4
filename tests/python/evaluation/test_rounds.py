"""Rounds that settle, cycle or drift: series made to do so, and games that do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from vecmarket.evaluation import Dynamics, Grid, ProfileEvaluation, Rounds, diagnose, evaluate_profile

NOISE = np.random.default_rng(0)


def test_what_stays_put_has_settled() -> None:
    found = diagnose([9.0, 7.0, 5.0, 5.1, 5.0, 5.0, 5.1, 5.0], tolerance=0.1, window=4)
    assert found.kind == "settled"
    assert found.settled_from == 2
    assert found.spread == pytest.approx(0.1)
    assert found.period is None
    assert str(found) == "settled since round 2: within 0.1 over the last 4 rounds"
    # One number of many that does not stay is enough.
    both = np.stack([np.full(8, 5.0), [1, 2, 3, 4, 5, 6, 7, 8]], axis=1)
    assert diagnose(both).kind == "drifting"


@pytest.mark.parametrize("period", [2, 3, 4, 7, 12])
@pytest.mark.parametrize("lead", [0, 5])
def test_a_sawtooth_has_its_period(period: int, lead: int) -> None:
    rounds = np.arange(lead + 3 * period + 4)
    price = 50.0 + 20.0 * (rounds % period) / period
    price[:lead] = 10.0
    found = diagnose(price)
    assert (found.kind, found.period) == ("cycling", period)
    assert found.amplitude == pytest.approx(np.ptp(price[-period:]))
    assert found.mismatch == pytest.approx(0.0, abs=1e-12)


def test_a_cycle_with_noise_has_its_period() -> None:
    rounds = np.arange(48)
    clean = np.stack(
        [60 + 30 * np.sin(2 * np.pi * rounds / 8), 60 - 30 * np.cos(2 * np.pi * rounds / 8)], axis=1
    )
    found = diagnose(clean + NOISE.normal(0.0, 2.0, clean.shape))
    assert (found.kind, found.period) == ("cycling", 8)
    assert found.mismatch is not None
    assert 0.02 < found.mismatch < 0.2


def test_noise_and_walks_are_no_cycles() -> None:
    kinds: list[str] = []
    for rounds in (8, 12, 30, 100):
        for numbers in (1, 4):
            for _ in range(50):
                noise = NOISE.normal(100.0, 10.0, (rounds, numbers))
                kinds += [diagnose(noise).kind, diagnose(100.0 + noise.cumsum(axis=0)).kind]
    assert kinds.count("cycling") <= 4  # of 800
    assert "settled" not in kinds


def test_a_trend_drifts_and_says_how_fast() -> None:
    found = diagnose(100.0 + 3.0 * np.arange(20))
    assert found.kind == "drifting"
    assert found.drift == pytest.approx(3.0)
    assert found.directness == 1.0
    assert found.judged == 10
    assert found.amplitude == 27.0
    assert "+3 a round" in str(found)
    to_and_fro = diagnose(NOISE.normal(100.0, 30.0, 20))
    assert to_and_fro.directness < 0.5
    assert "without a direction" in str(to_and_fro)


def test_a_slow_approach_has_not_settled_before_it_has() -> None:
    approach = 10.0 + 90.0 * 0.7 ** np.arange(40)
    kinds = [diagnose(approach[:r]).kind for r in range(5, 41)]
    assert kinds == sorted(kinds)  # drifting, then settled for good
    assert {"drifting", "settled"} == set(kinds)


def test_few_rounds_are_too_few() -> None:
    found = diagnose([1.0, 1.0, 1.0])
    assert found.kind == "short"
    assert "3 of the 5" in str(found)
    assert diagnose([1.0] * 5).kind == "settled"


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, "at least one round"),
        ([1.0, np.nan], {}, r"values\[1\]: must be finite"),
        ([1.0] * 6, {"window": 1}, "window: must be at least 2"),
        ([1.0] * 6, {"tolerance": -1.0}, "tolerance: must be >= 0"),
        ([1.0] * 6, {"judged": 1}, "judged"),
    ],
)
def test_bad_series_are_refused(values: list[float], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagnose(values, **options)


# Games


def best_response_run(
    scenario: vm.Scenario, markups: list[float], rounds: int, grid: Grid
) -> list[ProfileEvaluation]:
    """Let the agents of a one-hour market answer each other in turn by exact best responses."""
    evaluations = []
    profile = list(markups)
    for r in range(rounds):
        found = evaluate_profile(scenario, profile, grid=grid)
        evaluations.append(found)
        mover = found.deviations[r % len(profile)]
        if mover.deviates.any():
            reach = float(scenario.bidding.max_bid_delta)  # type: ignore[arg-type]
            profile[mover.agent] = float(np.tanh(np.float64(mover.actions[0, 0, 1]))) * reach
    return evaluations


def duopoly(pricing: str, demand: float) -> vm.Scenario:
    return vm.Scenario(
        generators=(vm.Generator(60.0, 10.0, "A"), vm.Generator(60.0, 10.0, "B")),
        demand=vm.Demand((demand,)),
        horizon=1,
        rules=vm.MarketRules(pricing=pricing, price_cap=100.0),
        bidding=vm.Bidding(max_bid_delta=200.0),
    )


@pytest.fixture(scope="module")
def cycle() -> Rounds:
    """Pay-as-bid with both pivotal: undercutting by 4 from 100 down to 44, where the cap pays more again.

    Edgeworth's cycle: at the cap 20 MW are left, 1800 $; undercutting pays (p - 10) 60, as much at p = 40.
    """
    return Rounds.of(best_response_run(duopoly("pay_as_bid", 80.0), [0.0, 0.0], 60, Grid.critical(below=4.0)))


def test_pay_as_bid_goes_round_in_edgeworths_cycle(cycle: Rounds) -> None:
    found = cycle.dynamics()
    assert cycle.verdict() == "cycling"
    for dynamics in found.values():
        assert (dynamics.kind, dynamics.period) == ("cycling", 16)
    assert found["price"].amplitude == pytest.approx(56.0)
    last = cycle.price[-16:]
    assert (last.min(), last.max()) == (pytest.approx(44.0), 100.0)
    assert (cycle.exploitability > 1000.0).all()


def test_the_uniform_price_settles_in_an_equilibrium() -> None:
    run = best_response_run(duopoly("uniform", 80.0), [0.0, 0.0], 12, Grid.critical())
    rounds = Rounds.of(run)
    assert rounds.verdict() == "settled"
    # One bids the cap, the other low enough not to be undercut.
    assert rounds.price[-1] == 100.0
    assert rounds.exploitability[-1] == 0.0
    assert sorted(rounds.profit[-1]) == [pytest.approx(1800.0), pytest.approx(5400.0)]


def test_actions_are_judged_where_they_are_given(cycle: Rounds) -> None:
    still_rounds = Rounds(
        agents=("A",),
        price=np.full(10, 30.0),
        profit=np.full((10, 1), 5.0),
        gain=np.zeros((10, 1)),
        exploitability=np.zeros(10),
        actions=np.arange(10.0)[:, None],
    )
    assert still_rounds.dynamics()["price"].kind == "settled"
    assert still_rounds.verdict() == "drifting"  # prices alone would hide it
    assert "actions" not in cycle.dynamics()


def test_rounds_that_do_not_fit_are_refused() -> None:
    one, price = np.zeros((2, 1)), np.zeros(2)
    with pytest.raises(ValueError, match=r"profit: must have shape \(2, 1\), got \(3, 1\)"):
        Rounds(("A",), price, np.zeros((3, 1)), one, price)
    with pytest.raises(ValueError, match="actions: must hold 2 rounds, got 1"):
        Rounds(("A",), price, one, one, price, np.zeros((1, 4)))
    with pytest.raises(ValueError, match="at least one round"):
        Rounds.of([])


def test_evaluations_that_differ_are_no_rounds_of_one_game() -> None:
    scenario = vm.Scenario.default()
    first = evaluate_profile(scenario, None, episodes=4)
    others = {
        "scenario": evaluate_profile(scenario.replace(name="another"), None, episodes=4),
        "days": evaluate_profile(scenario, None, episodes=5),
        "seeds of the episodes": evaluate_profile(scenario, None, episodes=4, seed=1),
        "deviators": evaluate_profile(scenario, None, episodes=4, deviators="G4"),
        "grid": evaluate_profile(scenario, None, episodes=4, grid=Grid.critical(withholding=False)),
    }
    for what, other in others.items():
        with pytest.raises(ValueError, match=rf"evaluations\[2\]: is of another game, its {what} differ"):
            Rounds.of([first, first, other])
    assert len(Rounds.of([first, evaluate_profile(scenario, 5.0, episodes=4, grid=Grid.critical())])) == 2


def test_exploitability_is_a_share_of_the_deviators_profits() -> None:
    scenario = vm.Scenario.default()
    found = evaluate_profile(scenario, {"G3": 5.0, "G4": 30.0}, episodes=8, deviators=("G3", "G4"))
    deviators = found.played.profit[:, :, 3:].mean(axis=(0, 1)).sum()
    (share,) = Rounds.of(iter([found])).relative_exploitability
    assert share == pytest.approx(found.exploitability / deviators)
    assert share == pytest.approx(found.relative_exploitability)
    assert deviators < 0.9 * found.figures.overall("profit")
    nobody_earns = evaluate_profile(scenario, None, episodes=8, deviators="G4")
    assert nobody_earns.relative_exploitability is None
    assert np.isnan(Rounds.of([nobody_earns]).relative_exploitability).all()


def test_dynamics_are_plain_values(cycle: Rounds) -> None:
    for dynamics in cycle.dynamics().values():
        assert isinstance(dynamics, Dynamics)
        for value in vars(dynamics).values():
            assert value is None or type(value) in (int, float, str)
