"""The shipped scenarios against their definitions, and `by_name`."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from vecmarket.config import Scenario
from vecmarket.scenarios import NAMES, by_name
from vecmarket.scenarios.builtin import competitive, default


def test_default_is_the_documented_market():
    scenario = default()
    assert [g.capacity_mw for g in scenario.generators] == [30.0] * 5
    assert [g.srmc for g in scenario.generators] == [20.0, 25.0, 30.0, 35.0, 40.0]
    wanted = [(math.sin(2 * math.pi * t / 23) + 1.5) * 50 for t in range(24)]
    assert scenario.demand.series_mw == pytest.approx(wanted, rel=1e-12)
    assert scenario.demand.noise == 0.05
    assert (scenario.horizon, scenario.episode_start, scenario.name) == (24, "first", "default")


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_default_keeps_its_fleet_at_150_mw(n):
    scenario = default(n_generators=n, horizon=3)
    assert sum(g.capacity_mw for g in scenario.generators) == pytest.approx(150.0)
    assert scenario.generators[0].srmc == 20.0
    assert scenario.generators[-1].srmc == (20.0 if n == 1 else 40.0)
    assert len(scenario.demand.series_mw) == 3


def test_one_step_is_an_episode():
    assert default(horizon=1).demand.series_mw == (75.0,)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 9, 50])
def test_no_firm_is_pivotal_in_competitive(n):
    scenario = competitive(n_generators=n)
    capacities = [g.capacity_mw for g in scenario.generators]
    peak = max(scenario.demand.series_mw)
    assert peak == pytest.approx(sum(capacities[:-1]) - 1.0, rel=1e-12)
    assert all(peak < sum(capacities) - capacity for capacity in capacities)
    assert min(scenario.demand.series_mw) > 0
    assert scenario.demand.noise == 0


def test_costs_of_competitive_come_in_pairs():
    costs = [g.srmc for g in competitive(n_generators=8).generators]
    assert costs == sorted(costs)
    assert set(Counter(costs).values()) == {2}
    assert (costs[0], costs[-1]) == (20.0, 40.0)
    odd = [g.srmc for g in competitive(n_generators=5).generators]
    assert odd == [20.0, 20.0, 30.0, 30.0, 40.0]


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (default, {"n_generators": 0}, "n_generators: must be at least 1, got 0"),
        (default, {"horizon": 0}, "horizon: must be at least 1, got 0"),
        (competitive, {"n_generators": 1}, "n_generators: must be at least 2, got 1"),
        (competitive, {"horizon": -3}, "horizon: must be at least 1, got -3"),
    ],
)
def test_too_small_a_count_is_named(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize("value", [2.5, "5", None])
def test_a_count_is_a_whole_number(value):
    with pytest.raises(TypeError, match="n_generators: must be a whole number"):
        default(n_generators=value)


@pytest.mark.parametrize("spelling", ["default", "competitive", "ieee-rts", "ieee_rts", "IEEE_RTS"])
def test_by_name_takes_any_spelling(spelling):
    assert by_name(spelling).name == spelling.lower().replace("_", "-")


def test_by_name_hands_on_options():
    assert by_name("default", n_generators=3) == Scenario.default(3)
    assert by_name("competitive", horizon=6) == Scenario.competitive(horizon=6)
    assert by_name("ieee-rts", peak_mw=1000.0) == Scenario.ieee_rts(peak_mw=1000.0)


def test_an_unknown_name_lists_the_legal_ones():
    with pytest.raises(
        ValueError, match="unknown name 'texas'; the names are default, competitive, ieee-rts"
    ):
        by_name("texas")


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="peak_mw"):
        by_name("default", peak_mw=3.0)


def test_every_name_builds():
    assert [by_name(name).name for name in NAMES] == list(NAMES)
