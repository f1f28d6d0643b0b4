from __future__ import annotations

import pytest

import vecmarket as vm
from vecmarket.evaluation import evaluate, truthful
from vecmarket.scenarios.days import evaluation_days, training_days

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
