"""A bad call is a ValueError or a TypeError that names the place, and leaves everything as it was."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from border.small import AGENTS, ENVS, REFUSED, engine, fingerprint, small
from vecmarket import _core

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


BAD_ACTIONS = {
    f"{method}: {case}": (method, *bad)
    for method, shape in (("step", (ENVS, AGENTS, 2)), ("advance", (1, ENVS, AGENTS, 2)))
    for case, bad in bad_actions(shape).items()
}


@pytest.mark.parametrize(("method", "value", "message"), BAD_ACTIONS.values(), ids=BAD_ACTIONS)
def test_bad_actions_are_refused(method: str, value: Any, message: str) -> None:
    made = engine()
    before = fingerprint(made)
    with pytest.raises(REFUSED, match=message):
        getattr(made, method)(value)
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
    return vm.Engine(small().replace(rules=vm.MarketRules(kink="upper")), ENVS).snapshot()


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
