"""Bad input is a ValueError or a TypeError that names the place, and leaves everything as it was."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from vecmarket import _core

REFUSED = (ValueError, TypeError)
ENVS, AGENTS = 3, 2


def small(**changes: Any) -> vm.Scenario:
    return vm.Scenario(
        generators=(vm.Generator(50.0, 10.0, "coal"), vm.Generator(50.0, 20.0, "gas")),
        demand=vm.Demand((40.0, 60.0, 80.0)),
        horizon=3,
    ).replace(**changes)


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


def engine() -> vm.Engine:
    made = vm.Engine(small(), ENVS, threads=1)
    made.reset()
    made.step(np.full((ENVS, AGENTS, 2), 0.25, dtype=np.float32))
    return made


def fingerprint(made: vm.Engine) -> tuple[bytes, ...]:
    """Return the state and everything that an engine shows."""
    buffers = (made.observations, made.rewards, made.terminated, made.truncated, made.prices, made.demand)
    more = (
        made.dispatch,
        made.profits,
        made.unserved,
        made.final_observations,
        *made.offers(),
        *made.clock(),
    )
    return (made.snapshot(), *(array.tobytes() for array in (*buffers, *more)))


# Scenarios: values

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
        small(generators=(vm.Generator(50.0, 10.0),), observation=(feature,))


def test_demand_above_what_the_noise_bounds_allow() -> None:
    peak_above_capacity = vm.Demand((40.0, 120.0, 80.0), noise=0.05)
    with pytest.raises(ValueError, match=r"demand\.series_mw.*100.*120"):
        small(demand=peak_above_capacity)
    with pytest.raises(ValueError, match=r"demand\.series_mw"):
        small(demand=vm.Demand((60.0, 60.0, 60.0), noise=vm.Choice((0.0, 0.1)), factor=vm.Uniform(1.0, 2.0)))
    # Shortage without noise is a legal scenario.
    assert small(demand=dataclasses.replace(peak_above_capacity, noise=0.0)).demand.noise == 0.0


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


# Scenarios: types

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


# Clearing


@pytest.mark.parametrize(
    ("prices", "quantities", "demand", "message"),
    [
        ([1.0, 2.0], [1.0], 1.0, "quantities"),
        ([[1.0, 2.0]], [1.0, 2.0], 1.0, "quantities"),
        ([[[1.0]]], [[[1.0]]], 1.0, "prices"),
        (1.0, 1.0, 1.0, "prices"),
        ([1.0], [1.0], [1.0], "demand"),
        ([[1.0], [2.0]], [[1.0], [2.0]], [1.0, 2.0, 3.0], "demand"),
        ([[1.0], [2.0]], [[1.0], [2.0]], [[1.0], [2.0]], "demand"),
        ([], [], 1.0, "prices"),
        (np.empty((3, 0)), np.empty((3, 0)), 1.0, "prices"),
        ([1.0, math.nan], [1.0, 1.0], 1.0, r"prices.*1.*NaN"),
        ([[1.0, 1.0], [1.0, math.inf]], np.ones((2, 2)), 1.0, r"prices.*1.*1.*inf"),
        ([1.0, 1.0], [1.0, -2.0], 1.0, r"quantities.*1.*-2"),
        ([1.0, 1.0], [math.nan, 1.0], 1.0, r"quantities.*0.*NaN"),
        ([1.0, 1.0], [1.0, 1.0], math.nan, r"demand.*NaN"),
        ([[1.0], [1.0]], [[1.0], [1.0]], [1.0, -math.inf], r"demand.*1.*inf"),
    ],
)
def test_clear_refuses_and_names(prices: Any, quantities: Any, demand: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vm.clear(prices, quantities, demand)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("value", ["text", None, [1j, 2j], [object(), object()], [[1.0], [1.0, 2.0]], {}])
def test_clear_refuses_what_is_not_real_numbers(place: int, value: Any) -> None:
    arguments: list[Any] = [[1.0, 2.0], [1.0, 1.0], 1.0]
    arguments[place] = value
    with pytest.raises(REFUSED, match=("prices", "quantities", "demand")[place]):
        vm.clear(*arguments)


@pytest.mark.parametrize(
    ("prices", "message"), [([5.0, 99.0], r"prices.*1.*\[0, 50\].*99"), ([-9.0, 5.0], r"prices.*0.*-9")]
)
def test_clear_refuses_offers_outside_floor_and_cap(prices: list[float], message: str) -> None:
    rules = vm.MarketRules(price_floor=0.0, price_cap=50.0)
    with pytest.raises(ValueError, match=message):
        vm.clear(prices, [1.0, 1.0], 1.0, rules=rules)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": vm.MarketRules(kink="nonsense")}, r"rules\.kink.*lower, upper, mid"),
        ({"rules": vm.MarketRules(scarcity="cap")}, r"rules\.scarcity"),
        ({"rules": vm.MarketRules(price_cap=math.nan)}, r"rules\.price_cap"),
        ({"rules": vm.MarketRules(price_cap=vm.Uniform(1.0, 2.0))}, r"rules\.price_cap"),
        ({"rules": "uniform"}, "rules"),
        ({"rules": None}, "rules"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"seed": "0"}, "seed"),
        ({"threads": -1}, "threads"),
        ({"threads": 10**6}, "threads"),
        ({"threads": None}, "threads"),
    ],
)
def test_clear_refuses_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(REFUSED, match=message):
        vm.clear([1.0, 2.0], [1.0, 1.0], 1.0, **options)


# Engine


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((None, 1), {}, "scenario"),
        (("default", 1), {}, "scenario"),
        ((small(), 0), {}, "num_envs"),
        ((small(), -1), {}, "num_envs"),
        ((small(), 2**40), {}, "num_envs"),
        ((small(), 2**70), {}, "num_envs"),
        ((small(), 1.5), {}, "num_envs"),
        ((small(), "1"), {}, "num_envs"),
        ((small(), 1), {"seed": -1}, "seed"),
        ((small(), 1), {"seed": 2**64}, "seed"),
        ((small(), 1), {"seed": 1.5}, "seed"),
        ((small(), 1), {"threads": -1}, "threads"),
        ((small(), 1), {"threads": 10**9}, "threads"),
        ((small(), 1), {"threads": "all"}, "threads"),
        ((small(), 1), {"max_episode_steps": 0}, "max_episode_steps"),
        ((small(), 1), {"max_episode_steps": "1"}, "max_episode_steps"),
    ],
)
def test_an_engine_is_not_made_of_bad_arguments(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(REFUSED, match=message):
        vm.Engine(*arguments, **options)


SEATS = [
    (["acts"], r"seats: .*2.*got 1"),
    (["truthful", "truthful"], "seats: at least one"),
    (["acts", "frozen"], r"seats\[1\].*frozen.*acts.*truthful"),
    (["acts", math.nan], r"seats\[1\]"),
    (["acts", None], r"seats\[1\]"),
    (["acts", object()], r"seats\[1\]"),
    ([], "seats"),
    ("acts", "seats"),
    (7, "seats"),
    ({"acts": 1}, "seats"),
]


@pytest.mark.parametrize(("seats", "message"), SEATS)
def test_bad_seats_are_refused(seats: Any, message: str) -> None:
    with pytest.raises(REFUSED, match=message):
        _core.Engine(small(), 1, seats=seats)
    made = engine()
    before = fingerprint(made)
    with pytest.raises(REFUSED, match=message):
        made.set_seats(seats)
    assert fingerprint(made) == before


def actions(**changes: Any) -> np.ndarray:
    return np.zeros(**{"shape": (ENVS, AGENTS, 2), "dtype": np.float32, **changes})


def bad_actions(shape: tuple[int, ...]) -> dict[str, tuple[Any, str]]:
    """Return what is not an array of actions of this shape, and what the message says."""
    good = np.zeros(shape, dtype=np.float32)
    wide = np.zeros((*shape[:-1], 4), dtype=np.float32)
    return {
        "float64": (good.astype(np.float64), "float32"),
        "int": (good.astype(np.int32), "float32"),
        "big endian": (good.astype(">f4"), "float32"),
        "object": (good.astype(object), "float32"),
        "not contiguous": (wide[..., ::2], "contiguous"),
        "fortran": (np.asfortranarray(np.zeros(shape, dtype=np.float32)), "contiguous"),
        "list": (good.tolist(), "actions"),
        "None": (None, "actions"),
        "text": ("actions", "actions"),
        "0-d": (np.float32(0.0), "actions"),
        "one row less": (good[..., :-1, :].copy(), "shape"),
        "one number less": (good[..., :-1].copy(), "shape"),
        "flat": (good.ravel(), "actions"),
        "empty": (good[..., :0, :].copy(), "shape"),
        "one axis more": (good[None], "actions"),
    }


STEP_ACTIONS = bad_actions((ENVS, AGENTS, 2))
ADVANCE_ACTIONS = bad_actions((1, ENVS, AGENTS, 2))


@pytest.mark.parametrize("case", STEP_ACTIONS)
def test_bad_actions_are_refused_by_step(case: str) -> None:
    value, message = STEP_ACTIONS[case]
    made = engine()
    before = fingerprint(made)
    with pytest.raises(REFUSED, match=message):
        made.step(value)
    assert fingerprint(made) == before


@pytest.mark.parametrize("case", ADVANCE_ACTIONS)
def test_bad_actions_are_refused_by_advance(case: str) -> None:
    value, message = ADVANCE_ACTIONS[case]
    made = engine()
    before = fingerprint(made)
    with pytest.raises(REFUSED, match=message):
        made.advance(value)
    assert fingerprint(made) == before


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_wrong_dtypes_are_type_errors_that_say_what_is_wanted(dtype: type) -> None:
    with pytest.raises(TypeError, match=r"actions: .*float32"):
        engine().step(actions(dtype=dtype))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", [0, 1])
def test_actions_that_are_not_finite_are_refused_with_their_place(bad: float, part: int) -> None:
    made = engine()
    before = fingerprint(made)
    one = actions()
    one[2, 1, part] = bad
    with pytest.raises(ValueError, match=r"environment 2, agent 1 \(gas\)"):
        made.step(one)
    # A later step of `advance` is refused before the first is played.
    several = np.zeros((2, ENVS, AGENTS, 2), dtype=np.float32)
    several[1, 0, 0, part] = bad
    with pytest.raises(ValueError, match=r"environment 0, agent 0 \(coal\).*step 1"):
        made.advance(several)
    assert fingerprint(made) == before


def test_advance_without_autoreset_does_not_run_past_the_end() -> None:
    made = engine()
    before = fingerprint(made)
    with pytest.raises(ValueError, match=r"environment 0: .*2 steps"):
        made.advance(np.zeros((3, ENVS, AGENTS, 2), dtype=np.float32), autoreset=None)
    assert fingerprint(made) == before


@pytest.mark.parametrize("autoreset", ["", "sometimes", 1, object(), b"same_step"])
def test_an_unknown_autoreset_is_refused(autoreset: Any) -> None:
    made = engine()
    before = fingerprint(made)
    with pytest.raises(REFUSED, match="autoreset"):
        made.step(actions(), autoreset=autoreset)
    with pytest.raises(REFUSED, match="autoreset"):
        made.advance(actions()[None].copy(), autoreset=autoreset)
    assert fingerprint(made) == before


RESETS: list[tuple[dict[str, Any], str]] = [
    ({"seed": -1}, "seed"),
    ({"seed": 2**64}, "seed"),
    ({"seed": 1.5}, "seed"),
    ({"seed": "1"}, "seed"),
    ({"seed": [1, 2]}, "seed"),
    ({"seed": [1, 2, -3]}, "seed"),
    ({"seed": [1, 2, 3.5]}, "seed"),
    ({"seed": [1, 2, "x"]}, "seed"),
    ({"mask": np.zeros(ENVS + 1, dtype=bool)}, "mask"),
    ({"mask": np.zeros((ENVS, 1), dtype=bool)}, "mask"),
    ({"mask": np.zeros(ENVS)}, "mask"),
    ({"mask": [True, False, True]}, "mask"),
    ({"mask": "all"}, "mask"),
    ({"start": -1}, "start"),
    ({"start": 1}, "start: .*environment 0"),
    ({"start": 2**70}, "start"),
    ({"start": 0.5}, "start"),
    ({"start": "monday"}, "start"),
    ({"start": np.array([0, 0])}, "start"),
    ({"start": np.array([0, 0, 9])}, "start: .*environment 2"),
    ({"start": np.zeros(ENVS)}, "start"),
    ({"start": np.zeros((ENVS, 1), dtype=np.int64)}, "start"),
]


@pytest.mark.parametrize(("options", "message"), RESETS, ids=repr)
def test_a_bad_reset_is_refused(options: dict[str, Any], message: str) -> None:
    made = engine()
    before = fingerprint(made)
    with pytest.raises(REFUSED, match=message):
        made.reset(**options)
    assert fingerprint(made) == before


def _other_rules() -> bytes:
    return vm.Engine(small(rules=vm.MarketRules(kink="upper")), ENVS).snapshot()


STATES: dict[str, Callable[[bytes], Any]] = {
    "empty": lambda state: b"",
    "not a snapshot": lambda state: b"x" * len(state),
    "cut": lambda state: state[:-1],
    "cut in the middle": lambda state: state[: len(state) // 2],
    "longer": lambda state: state + b"\0",
    "one bit": lambda state: state[:30] + bytes([state[30] ^ 4]) + state[31:],
    "another scenario": lambda state: _other_rules(),
    "fewer environments": lambda state: vm.Engine(small(), ENVS - 1).snapshot(),
    "more environments": lambda state: vm.Engine(small(), ENVS + 1).snapshot(),
    "other seats": lambda state: _core.Engine(small(), ENVS, seats=["acts", "truthful"]).snapshot(),
    "None": lambda state: None,
    "text": lambda state: state.decode("latin-1"),
    "list": list,
}


@pytest.mark.parametrize("case", STATES)
def test_a_bad_snapshot_is_refused(case: str) -> None:
    made = engine()
    before = fingerprint(made)
    with pytest.raises(REFUSED, match="state"):
        made.restore(STATES[case](made.snapshot()))
    assert fingerprint(made) == before
