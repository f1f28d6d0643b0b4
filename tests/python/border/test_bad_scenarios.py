"""A scenario that cannot be used is a ValueError or a TypeError that names the field."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from border.small import REFUSED, small
from vecmarket import _core


def with_field(path: str, value: Any) -> vm.Scenario:
    """Return the small scenario with one field changed, such as ``generators[1].srmc`` or ``rules.kink``."""
    scenario = small()
    place, _, field = path.rpartition(".")
    if not place:
        return scenario.replace(**{path: value})
    if place.startswith("generators"):
        generators = list(scenario.generators)
        generators[1] = dataclasses.replace(generators[1], **{field: value})
        return scenario.replace(generators=tuple(generators))
    return scenario.replace(**{place: dataclasses.replace(getattr(scenario, place), **{field: value})})


# Values

NUMBERS = (
    "generators[1].capacity_mw",
    "generators[1].srmc",
    "demand.noise",
    "demand.factor",
    "rules.price_floor",
    "rules.price_cap",
    "bidding.max_bid_delta",
    "reward.bid_penalty",
    "reward.unserved_penalty",
)
NAMES = {
    "rules.pricing": ("uniform", "pay_as_bid"),
    "rules.kink": ("lower", "upper", "mid"),
    "rules.scarcity": ("last_offer", "cap"),
    "rules.tie_break": ("pro_rata", "index", "random"),
    "bidding.rule": ("withhold_and_markup",),
    "observation": ("basic", "simple", "simple_v2", "simple_v3"),
    "episode_end": ("terminate", "truncate"),
    "episode_start": ("first", "random", "random_day"),
}


@pytest.mark.parametrize("path", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        vm.Uniform(0.0, math.inf),
        vm.Uniform(2.0, 1.0),
        vm.Uniform(math.nan, 1.0),
        vm.Normal(math.nan, 1.0, 0.0, 1.0),
        vm.Normal(0.5, -1.0, 0.0, 1.0),
        vm.Normal(0.5, 1.0, 2.0, 1.0),
        vm.Choice(()),
        vm.Choice((1.0, math.nan)),
    ],
    ids=repr,
)
def test_numbers_must_be_finite_and_distributions_well_formed(path: str, value: vm.Number) -> None:
    with pytest.raises(ValueError, match=path.replace("[", r"\[").replace("]", r"\]")):
        with_field(path, value)


@pytest.mark.parametrize(
    "path", ["generators[1].capacity_mw", "demand.noise", "demand.factor", "bidding.max_bid_delta"]
)
@pytest.mark.parametrize("value", [-5.0, vm.Uniform(-1.0, 1.0), vm.Choice((1.0, -1.0))], ids=repr)
def test_some_numbers_must_not_be_negative(path: str, value: vm.Number) -> None:
    with pytest.raises(ValueError, match=rf"{path.rpartition('.')[2]}: must be >= 0, got -[15]"):
        with_field(path, value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("generators", (), "generators: must not be empty"),
        ("generators[1].availability", -0.1, "availability"),
        ("generators[1].availability", 1.5, "availability"),
        ("generators[1].availability", math.nan, "availability"),
        ("generators[1].availability", (1.0, 1.0), r"generators\[1\]\.availability: .*3.*got 2"),
        ("generators[1].availability", (1.0, 2.0, 1.0), r"generators\[1\]\.availability\[1\]"),
        ("generators[1].name", "coal", r"generators\[1\]\.name: .*coal"),
        ("demand.series_mw", (), r"demand\.series_mw: must not be empty"),
        ("demand.series_mw", (40.0, math.nan, 50.0), r"demand\.series_mw\[1\]"),
        ("demand.series_mw", (40.0, 50.0, math.inf), r"demand\.series_mw\[2\]"),
        ("demand.series_mw", (40.0,), r"horizon: .*1.*got 3"),
        ("demand.first_hour", -1, r"demand\.first_hour"),
        ("demand.first_hour", 168, r"demand\.first_hour"),
        ("horizon", 0, "horizon"),
        ("horizon", -1, "horizon"),
        ("horizon", 4, "horizon: .*got 4"),
        ("horizon", 2**70, "horizon"),
        ("rules.scarcity", "cap", r"rules\.scarcity: .*price_cap"),
        ("rules", vm.MarketRules(price_floor=10.0, price_cap=5.0), r"rules\.price_cap: .*5 < 10"),
        ("rules", vm.MarketRules(price_floor=vm.Uniform(0, 8), price_cap=5.0), r"rules\.price_cap"),
        ("reward.scale", 0.0, r"reward\.scale"),
        ("reward.scale", -1.0, r"reward\.scale"),
        ("reward.scale", math.nan, r"reward\.scale"),
        ("reward.scale", "big", r"reward\.scale: .*seed"),
        ("reward.terms", {"profit": math.nan}, r"reward\.(terms\.)?.*profit"),
        ("reward.terms", {"kudos": 1.0}, r"reward\.terms.*kudos.*profit"),
        ("observation", (), "observation"),
        ("observation", ("demand", "crystal_ball"), r"observation\[1\].*crystal_ball.*rival_costs"),
        ("observation", ("demand_forecast:0",), r"observation\[0\].*demand_forecast"),
        ("observation", ("demand_forecast:many",), r"observation\[0\].*demand_forecast"),
        ("observation", ("demand_forecast",), r"observation\[0\].*demand_forecast:<hours>"),
        ("days", (), "days"),
        ("days", (-1,), r"days\[0\]"),
        ("days", (0, 1), r"days\[1\]"),
        ("days", (2**70,), "days"),
    ],
)
def test_values_that_make_no_sense_are_refused_and_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_field(path, value)


@pytest.mark.parametrize("path", ["demand.series_mw", "generators[1].availability"])
@pytest.mark.parametrize("value", [np.ones((3, 2)), np.ones((3, 0)), [[1.0], [1.0], [1.0]]], ids=repr)
def test_a_series_of_another_shape_is_refused_and_named(path: str, value: Any) -> None:
    with pytest.raises(REFUSED, match=path.rpartition(".")[2]):
        with_field(path, value)


@pytest.mark.parametrize("feature", ["rival_costs", "rival_capacities", "rival_offers"])
def test_an_observation_that_shows_nothing_is_refused(feature: str) -> None:
    with pytest.raises(ValueError, match="observation"):
        small().replace(generators=(vm.Generator(50.0, 10.0),), observation=(feature,))


def test_demand_above_what_the_noise_bounds_allow() -> None:
    peak_above_capacity = vm.Demand((40.0, 120.0, 80.0), noise=0.05)
    with pytest.raises(ValueError, match=r"demand\.series_mw.*100.*120"):
        small().replace(demand=peak_above_capacity)
    with pytest.raises(ValueError, match=r"demand\.series_mw"):
        small().replace(
            demand=vm.Demand((60.0, 60.0, 60.0), noise=vm.Choice((0.0, 0.1)), factor=vm.Uniform(1.0, 2.0))
        )
    # Shortage without noise is a legal scenario.
    assert small().replace(demand=dataclasses.replace(peak_above_capacity, noise=0.0)).demand.noise == 0.0


@pytest.mark.parametrize("path", NAMES)
@pytest.mark.parametrize("name", ["", "nonsense", "Uniform ", "upper\0", "é"])
def test_an_unknown_name_is_refused_with_the_legal_ones(path: str, name: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the message is looked at below
        with_field(path, name)
    assert path in str(refusal.value)
    for legal in NAMES[path]:
        assert legal in str(refusal.value)


@pytest.mark.parametrize("path", NAMES)
def test_a_name_that_is_no_unicode_is_refused(path: str) -> None:
    with pytest.raises(REFUSED, match=path):
        with_field(path, "\ud800")


def test_the_legal_names_are_those_that_the_core_tells() -> None:
    told = {name for group in _core.names().values() for name in group}
    assert {name for group in NAMES.values() for name in group} <= told


# Types

WRONG: tuple[Any, ...] = (object(), b"bytes", 1j, {"a": 1}, [object()], len)
NO_NUMBER: Any = "zero"
ANY_TEXT = ("generators[1].name", "name")
FIELDS = (
    *NUMBERS,
    *NAMES,
    *ANY_TEXT,
    "generators",
    "generators[1].availability",
    "demand",
    "demand.series_mw",
    "demand.first_hour",
    "horizon",
    "rules",
    "bidding",
    "reward",
    "reward.scale",
    "reward.terms",
    "days",
)


def test_the_list_of_fields_is_complete() -> None:
    """A new field of the configuration joins the tests of this page by failing here."""
    expected = {"name", "generators", "demand", "horizon", "rules", "bidding", "reward"}
    expected |= {"observation", "episode_end", "episode_start", "days"}
    assert {field.name for field in dataclasses.fields(vm.Scenario)} == expected
    for place, kind in {
        "generators[1]": vm.Generator,
        "demand": vm.Demand,
        "rules": vm.MarketRules,
        "bidding": vm.Bidding,
        "reward": vm.Reward,
    }.items():
        for field in dataclasses.fields(kind):
            assert f"{place}.{field.name}" in FIELDS


@pytest.mark.parametrize("path", FIELDS)
@pytest.mark.parametrize("value", WRONG, ids=lambda value: type(value).__name__)
def test_a_wrong_type_is_refused_and_named(path: str, value: Any) -> None:
    with pytest.raises(REFUSED, match=path.rpartition(".")[2].split("[")[0]):
        with_field(path, value)


@pytest.mark.parametrize("path", sorted({*FIELDS} - {"rules.price_floor", "rules.price_cap", "days"}))
def test_none_is_refused_where_a_value_is_needed(path: str) -> None:
    with pytest.raises(REFUSED, match=path.rpartition(".")[2]):
        with_field(path, None)


@pytest.mark.parametrize("path", [p for p in FIELDS if p not in (*ANY_TEXT, *NAMES)])
def test_text_is_refused_where_something_else_is_needed(path: str) -> None:
    with pytest.raises(REFUSED, match=path.rpartition(".")[2]):
        with_field(path, "many")


@pytest.mark.parametrize(
    "value",
    [vm.Uniform(NO_NUMBER, 1.0), vm.Normal(0.0, NO_NUMBER, 0.0, 1.0), vm.Choice((NO_NUMBER,))],
    ids=repr,
)
def test_a_wrong_type_in_a_distribution_is_refused(value: Any) -> None:
    with pytest.raises(REFUSED, match=r"generators\[1\]\.srmc"):
        with_field("generators[1].srmc", value)


# Numbers beyond a float, names and places

HUGE: Any = (10**400,)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("demand.series_mw", HUGE * 3),
        ("generators[1].availability", HUGE * 3),
        ("generators[1].srmc", vm.Choice(HUGE)),
        ("demand.noise", 10**400),
    ],
    ids=["series", "availability", "choice", "number"],
)
def test_integers_beyond_a_float_are_refused_and_named(path: str, value: Any) -> None:
    with pytest.raises(ValueError, match=path.replace("[", r"\[").replace("]", r"\]")):
        with_field(path, value)


@pytest.mark.parametrize("name", ["bid_penalty", "unserved_penalty"])
def test_a_reward_term_that_is_a_field_is_refused_among_the_terms(name: str) -> None:
    with pytest.raises(ValueError, match=rf"reward\.terms.*{name}"):
        vm.Reward(terms={"profit": 2.0, name: 0.0})


@pytest.mark.parametrize("agent", [None, 1.7, 1.0, [0], b"coal"])
def test_an_agent_is_a_place_or_a_name(agent: Any) -> None:
    with pytest.raises(TypeError, match="agent"):
        small().agent_index(agent)
