"""The IEEE Reliability Test System against the figures that its papers state."""

from __future__ import annotations

import numpy as np
import pytest

from vecmarket.config import MarketRules
from vecmarket.scenarios.ieee_rts import ieee_rts


@pytest.fixture(scope="module")
def scenario():
    return ieee_rts()


@pytest.fixture(scope="module")
def load(scenario):
    return np.array(scenario.demand.series_mw).reshape(52, 7, 24)


def test_fleet_has_32_units_and_3405_mw(scenario):
    assert len(scenario.generators) == 32
    assert sum(g.capacity_mw for g in scenario.generators) == 3405.0
    assert len(set(scenario.agents)) == 32


@pytest.mark.parametrize(
    ("unit", "capacity_mw", "srmc"),
    [
        ("U12_1", 12, 64.445888),
        ("U12_5", 12, 64.445888),
        ("U20_4", 20, 130.0),
        ("U50_6", 50, 0.001),
        ("U76_1", 76, 18.230684),
        ("U100_3", 100, 54.1959),
        ("U155_2", 155, 14.97432),
        ("U197_1", 197, 51.40538),
        ("U350_1", 350, 15.276),
        ("U400_2", 400, 4.5935),
    ],
)
def test_offers_are_marginal_costs_at_full_load(scenario, unit, capacity_mw, srmc):
    generator = scenario.generators[scenario.agent_index(unit)]
    assert generator.capacity_mw == capacity_mw
    assert generator.srmc == pytest.approx(srmc, rel=1e-12)


def test_load_is_a_year_of_8736_hours_with_its_peak_in_week_51(load):
    assert load.max() == 2850.0
    week, day, hour = np.unravel_index(load.argmax(), load.shape)
    assert (week + 1, day) == (51, 1)  # a Tuesday
    assert hour == 17
    assert load.mean() == pytest.approx(1751.0, abs=0.5)


@pytest.mark.parametrize(
    ("week", "day", "hour", "share"),
    [
        (1, 0, 0, 0.862 * 0.93 * 0.67),  # winter, Monday
        (8, 6, 17, 0.806 * 0.75 * 1.00),  # the last week of winter, Sunday
        (9, 4, 23, 0.740 * 0.94 * 0.70),  # spring, Friday
        (17, 5, 19, 0.754 * 0.77 * 1.00),  # the last week of spring, Saturday
        (18, 1, 11, 0.837 * 1.00 * 1.00),  # summer, Tuesday
        (30, 5, 20, 0.880 * 0.77 * 1.00),  # the last week of summer, Saturday
        (31, 2, 12, 0.722 * 0.98 * 0.93),  # autumn, Wednesday
        (43, 6, 5, 0.800 * 0.75 * 0.65),  # the last week of autumn, Sunday
        (44, 3, 8, 0.881 * 0.96 * 0.95),  # winter again, Thursday
        (52, 6, 23, 0.952 * 0.75 * 0.81),  # the last hour
    ],
)
def test_load_is_the_product_of_its_shares(load, week, day, hour, share):
    assert load[week - 1, day, hour] == pytest.approx(2850.0 * share, rel=1e-12)


def test_episodes_are_days_without_noise(scenario):
    assert (scenario.horizon, scenario.episode_start, scenario.days) == (24, "random_day", None)
    assert (scenario.demand.noise, scenario.demand.first_hour, scenario.name) == (0, 0, "ieee-rts")


def test_peak_scales_the_year(load):
    assert ieee_rts(peak_mw=1425.0).demand.series_mw == pytest.approx(load.ravel() / 2, rel=1e-12)


@pytest.mark.parametrize("days", [range(0, 364, 7), [3, 1], (5,), np.arange(4)])
def test_days_take_any_sequence(days):
    assert ieee_rts(days=days).days == tuple(days)


def test_other_fields_are_handed_on():
    scenario = ieee_rts(horizon=168, rules=MarketRules(price_cap=200.0), episode_start="first", name="week")
    assert (scenario.horizon, scenario.rules.price_cap) == (168, 200.0)
    assert (scenario.episode_start, scenario.name) == ("first", "week")


@pytest.mark.parametrize("peak_mw", [0.0, -1.0, float("nan"), float("inf")])
def test_a_peak_that_is_none_is_refused(peak_mw):
    with pytest.raises(ValueError, match=r"peak_mw: must be (a positive number|finite)"):
        ieee_rts(peak_mw=peak_mw)


@pytest.mark.parametrize(("option", "value"), [("peak_mw", "x"), ("peak_mw", None), ("days", 3)])
def test_options_of_a_wrong_type_are_named(option, value):
    with pytest.raises(TypeError, match=option):
        ieee_rts(**{option: value})
