from __future__ import annotations

import pytest

import vecmarket as vm
from vecmarket.evaluation import evaluate, evaluation_days, evaluation_seeds, training_days, truthful
from vecmarket.evaluation.days import draws_anything

HELD_OUT_WEEKS = (6, 13, 20, 27, 34, 41, 48)  # 0 = the first of 52


def year(**fields: object) -> vm.Scenario:
    return vm.Scenario.ieee_rts(**fields)


def test_the_year_gives_all_days_of_every_seventh_week() -> None:
    assert evaluation_days(year()) == tuple(7 * w + d for w in HELD_OUT_WEEKS for d in range(7))


def test_training_plays_all_other_days() -> None:
    train = training_days(year())
    assert train is not None
    assert sorted((*train, *evaluation_days(year()))) == list(range(364))


@pytest.mark.parametrize("start", ["random_day", "random"])
@pytest.mark.parametrize("horizon", [1, 24, 30, 48, 168, 200])
def test_no_training_episode_reaches_into_an_evaluation_episode(horizon: int, start: str) -> None:
    scenario = year(horizon=horizon, episode_start=start)
    train, judge = training_days(scenario), evaluation_days(scenario)
    assert train
    assert judge
    latest = 23 if start == "random" else 0
    seen = {h for d in train for h in range(24 * d, 24 * d + latest + horizon)}
    judged = {h for d in judge for h in range(24 * d, 24 * d + horizon)}
    assert not seen & judged
    assert max(judged) < 8736


@pytest.mark.parametrize("scenario", [vm.Scenario.default(), vm.Scenario.competitive()], ids=lambda s: s.name)
def test_one_window_serves_both(scenario: vm.Scenario) -> None:
    assert training_days(scenario) is None
    assert evaluation_days(scenario) == (0,)


def test_a_fixed_first_hour_is_that_of_the_first_day_given() -> None:
    scenario = year(episode_start="first", days=(5, 3))
    assert evaluation_days(scenario) == (3,)
    assert evaluate(scenario, 0, truthful).truthful.hour[0, 0] == 3 * 24


def test_a_series_under_seven_weeks_is_not_split() -> None:
    scenario = vm.Scenario.ieee_rts().replace(demand=vm.Demand((1000.0,) * 24 * 42))
    assert training_days(scenario) is None
    assert evaluation_days(scenario) == tuple(range(42))


def test_a_scenarios_own_days_are_split_not_widened() -> None:
    scenario = year(days=range(30, 60))
    assert training_days(scenario) == (*range(30, 42), *range(49, 60))
    assert evaluation_days(scenario) == tuple(range(42, 49))


def test_seeds_are_fixed_distinct_and_a_longer_list_starts_the_same() -> None:
    seeds = evaluation_seeds(512)
    assert len(set(seeds)) == 512
    assert seeds[:16] == evaluation_seeds(16)
    assert seeds != evaluation_seeds(512, seed=1)
    assert all(0 <= s < 2**63 for s in seeds)


@pytest.mark.parametrize(
    ("changes", "random"),
    [
        ({}, False),
        ({"demand": vm.Demand((1000.0,) * 8736, noise=0.05)}, True),
        ({"demand": vm.Demand((1000.0,) * 8736, factor=vm.Uniform(0.9, 1.1))}, True),
        ({"rules": vm.MarketRules(tie_break="random")}, True),
        ({"generators": (vm.Generator(100.0, vm.Choice((10.0, 20.0))),)}, True),
        ({"reward": vm.Reward(bid_penalty=vm.Uniform(0.0, 0.1))}, True),
    ],
)
def test_randomness_is_found_wherever_it_stands(changes: dict[str, object], random: bool) -> None:
    assert draws_anything(year().replace(**changes)) is random
