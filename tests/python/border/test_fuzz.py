"""Thousands of random bad calls: each is refused by ValueError or TypeError and changes nothing.

Anything else that comes out of a call (a panic, an OverflowError, an internal error) fails the test with the
call that did it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from policies.nets import draw
from vecmarket import _core

ENVS, AGENTS = 2, 2
REFUSED_CALLS = 60_000


class Liar:
    """Claims to be a number, an integer, a sequence and an array, and is none."""

    def __float__(self) -> float:
        raise ValueError("no float")

    def __index__(self) -> int:
        raise TypeError("no index")

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Any:
        raise TypeError("no items")


SCENARIO = vm.Scenario(
    generators=(vm.Generator(50.0, 10.0, "coal"), vm.Generator(vm.Uniform(40.0, 60.0), 20.0, "gas")),
    demand=vm.Demand((40.0, 60.0, 80.0)),
    horizon=3,
    rules=vm.MarketRules(tie_break="random"),
    observation=("demand", "last_price", "rival_offers"),
)

SCALARS: tuple[Any, ...] = (
    None,
    True,
    -1,
    3,
    7.5,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**40,
    -0.0,
    5e-324,
    1e308,
    -1e308,
    math.nan,
    math.inf,
    -math.inf,
    1j,
    Decimal("1.5"),
    Fraction(1, 3),
    np.float32(math.nan),
    np.float64(1e300),
    np.int8(-3),
    np.uint64(2**64 - 1),
    np.bool_(True),
    np.datetime64("2020-01-01"),
)
TEXTS: tuple[Any, ...] = (
    "",
    "acts",
    "seed",
    "uniform",
    "same_step",
    "demand",
    "demand_forecast:99999999999",
    "demand_forecast:-1",
    "\0",
    "\ud800",
    "é" * 300,
    b"",
    b"VMKT",
    bytearray(b"VMKT"),
)
OBJECTS: tuple[Any, ...] = (
    object(),
    Liar(),
    len,
    int,
    ...,
    range(2),
    {"profit": 1},
    {"profit": "x"},
    {1: 2},
    {1.0, 2.0},
    SimpleNamespace(low=1.0),
    SimpleNamespace(low=2.0, high=1.0),
    SimpleNamespace(values=None),
    vm.Uniform(math.nan, 1.0),
    vm.Normal(0.0, -1.0, 5.0, 2.0),
    vm.Choice(()),
    vm.Generator(1.0, 1.0),
    vm.Demand((1.0,)),
    vm.MarketRules(kink="x"),
    vm.Bidding(rule="x"),
    vm.Reward(scale="x"),
    memoryview(b"1234"),
    vm.MlpPolicy([np.ones((2, 4))], [np.ones(2)]),
    vm.PolicyPool([vm.MlpPolicy([np.ones((2, 9))], [np.ones(2)])]),
    SimpleNamespace(core=1),
    SimpleNamespace(members=(math.nan, "x", Liar()), weights=None),
    SimpleNamespace(members=(1.0, 2.0), weights=(1.0, "x")),
)
SHAPES = (
    (),
    (0,),
    (1,),
    (2,),
    (2, 2),
    (2, 2, 2),
    (1, 2, 2, 2),
    (4, 2, 2, 2),
    (0, 2, 2, 2),
    (2, 2, 0),
    (2, 2, 3),
)
DTYPES = ("f4", "f8", "f2", ">f4", "i4", "i8", "u1", "?", "c8", "O", "U3", "M8[s]", "f4,i4")
NAMES = ("pricing", "kink", "scarcity", "tie_break", "price_floor", "price_cap")


class Junk:
    """Random values that no argument wants, and now and then one that it does."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)

    def any(self, depth: int = 0) -> Any:
        kind = self.random.randrange(5 if depth < 2 else 4)
        if kind == 0:
            return self.random.choice(SCALARS)
        if kind == 1:
            return self.random.choice(TEXTS)
        if kind == 2:
            return self.random.choice(OBJECTS)
        if kind == 3:
            return self.array()
        items = [self.any(depth + 1) for _ in range(self.random.randrange(4))]
        return self.random.choice((list, tuple, iter))(items)

    def array(self) -> Any:
        dtype = self.random.choice(DTYPES)
        array = np.zeros(self.random.choice(SHAPES), dtype=np.dtype(dtype))
        if dtype in ("f4", "f8") and array.size:
            array.flat[self.numbers.integers(array.size)] = self.random.choice(
                (math.nan, math.inf, -5.0, 1e30)
            )
        change = self.random.randrange(6)
        if change == 0:
            return array.T
        if change == 1:
            return array[..., ::-1] if array.ndim else array
        if change == 2:
            array.flags.writeable = False
        if change == 3 and dtype == "f4":
            return np.ma.masked_array(array)
        return array

    def mutated(self, state: bytes) -> bytes:
        """Return a damaged snapshot; half of them carry the right checksum of their damaged body."""
        body = bytearray(state[:-8])
        for _ in range(self.random.randrange(1, 4)):
            place = self.random.randrange(4, len(body))
            kind = self.random.randrange(4)
            if kind == 0:
                body[place] ^= 1 << self.random.randrange(8)
            elif kind == 1:
                body[place] = self.random.choice((0, 1, 2, 127, 128, 255))
            elif kind == 2:
                del body[place : place + self.random.randrange(1, 9)]
            else:
                body[place:place] = self.random.randbytes(self.random.randrange(1, 9))
            if len(body) < 6:
                break
        tail = fnv1a(bytes(body)).to_bytes(8, "little") if self.random.random() < 0.5 else state[-8:]
        return bytes(body) + tail


def fnv1a(data: bytes) -> int:
    """Return the checksum of a snapshot's body: FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


@dataclasses.dataclass
class Border:
    """An engine under fire, and the count of the calls it refused."""

    junk: Junk
    engine: vm.Engine = dataclasses.field(default_factory=lambda: vm.Engine(SCENARIO, ENVS, threads=1))
    refused: int = 0

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Bring the engine into the middle of an episode."""
        self.engine = vm.Engine(SCENARIO, ENVS, threads=1)
        self.engine.reset()
        self.engine.step(np.full((ENVS, AGENTS, 2), 0.25, dtype=np.float32))
        self.state = self.held()

    def held(self) -> tuple[bytes, ...]:
        engine = self.engine
        return (engine.snapshot(), engine.observations.tobytes(), engine.rewards.tobytes())

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Call; a refusal has to be of the right kind and must not have changed anything."""
        try:
            function(*arguments, **options)
        except (ValueError, TypeError) as refusal:
            refused = str(refusal)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic is no Exception
            raise AssertionError(f"{error!r} from {function} {arguments!r} {options!r}") from error
        else:
            if self.held() != self.state:
                self.renew()
            return
        self.refused += 1
        assert refused, "a refusal says why"
        assert self.held() == self.state, f"changed by {function} {arguments!r} {options!r}"


# One way to call the border each


def construct(border: Border) -> None:
    junk = border.junk
    scenario = junk.any() if junk.random.random() < 0.3 else SCENARIO
    options = {
        name: junk.any() for name in ("seed", "threads", "max_episode_steps") if junk.random.random() < 0.6
    }
    envs = junk.any() if junk.random.random() < 0.5 else 2
    kind = junk.random.randrange(3)
    if kind == 0:
        border.call(vm.Engine, scenario, envs, **options)
    elif kind == 1:
        border.call(_core.Engine, scenario, envs, seats=junk.any(), **options)
    else:
        border.call(_core.check_scenario, junk.any())


def change_a_field(border: Border) -> None:
    junk = border.junk
    part = junk.random.choice(("generators", "demand", "rules", "bidding", "reward", None))

    def build() -> None:
        held: Any = SCENARIO if part is None else getattr(SCENARIO, part)
        target = held[1] if part == "generators" else held
        field = junk.random.choice(dataclasses.fields(target)).name
        changed = dataclasses.replace(target, **{field: junk.any()})
        if part == "generators":
            play(SCENARIO.replace(generators=(SCENARIO.generators[0], changed)), junk)
        else:
            play(changed if part is None else SCENARIO.replace(**{part: changed}), junk)

    border.call(build)


def play(scenario: vm.Scenario, junk: Junk) -> None:
    """A scenario that is taken can be played, whatever its numbers."""
    engine = vm.Engine(scenario, ENVS, threads=1)
    engine.reset()
    shape = (4, ENVS, engine.num_agents, 2)
    engine.advance(junk.numbers.choice([0.0, 0.5, 1.0, 10.0, -10.0], size=shape).astype(np.float32))
    engine.observation_bounds()
    engine.restore(engine.snapshot())


def clear(border: Border) -> None:
    junk = border.junk
    prices = junk.any() if junk.random.random() < 0.5 else np.ones((2, 2))
    quantities = junk.any() if junk.random.random() < 0.5 else np.ones((2, 2))
    demand = junk.any() if junk.random.random() < 0.5 else np.ones(2)
    rules = vm.MarketRules()
    if junk.random.random() < 0.4:
        rules = dataclasses.replace(rules, **{junk.random.choice(NAMES): junk.any()})
    elif junk.random.random() < 0.2:
        rules = junk.any()
    seed = junk.any() if junk.random.random() < 0.3 else 0
    threads = junk.any() if junk.random.random() < 0.2 else 1
    if junk.random.random() < 0.5:
        border.call(vm.clear, prices, quantities, demand, rules=rules, seed=seed, threads=threads)
    else:
        border.call(_core.clear, prices, quantities, demand, rules, seed, threads)


def step(border: Border) -> None:
    junk = border.junk
    actions = junk.any() if junk.random.random() < 0.4 else junk.array()
    options = {"autoreset": junk.any()} if junk.random.random() < 0.3 else {}
    border.call(border.engine.step, actions, **options)


def advance(border: Border) -> None:
    junk = border.junk
    actions = junk.any() if junk.random.random() < 0.4 else junk.array()
    options = {"autoreset": junk.any()} if junk.random.random() < 0.3 else {}
    border.call(border.engine.advance, actions, **options)


def rollout(border: Border) -> None:
    junk = border.junk
    policies = junk.any() if junk.random.random() < 0.6 else [draw(border.engine.num_features)] * 2
    steps = junk.any() if junk.random.random() < 0.5 else 2
    options = {"autoreset": junk.any()} if junk.random.random() < 0.3 else {}
    border.call(border.engine.rollout, policies, steps, **options)


def reset(border: Border) -> None:
    junk = border.junk
    names = [name for name in ("seed", "mask", "start") if junk.random.random() < 0.6]
    border.call(border.engine.reset, **{name: junk.any() for name in names})


def set_seats(border: Border) -> None:
    border.call(border.engine.set_seats, border.junk.any())


POLICY: dict[str, Any] = {
    "widths": [4, 3, 2],
    "activation": "tanh",
    "parameters": np.ones(23, np.float32),
    "centre": np.zeros(4, np.float32),
    "scale": np.ones(4, np.float32),
    "std": np.ones(2, np.float32),
    "low": np.zeros(2, np.float32),
    "high": np.ones(2, np.float32),
    "sampled": True,
}
ARRAYS: dict[str, Any] = {
    "weights": [np.ones((3, 4)), np.ones((2, 3))],
    "biases": [np.ones(3), np.ones(2)],
    **{name: POLICY[name] for name in ("activation", "centre", "scale", "low", "high", "sampled")},
}
KEYS = ("observations", "seeds", "episodes", "steps", "agent", "threads")


def policy(border: Border) -> None:
    junk = border.junk
    made = vm.MlpPolicy(**ARRAYS)
    way = junk.random.randrange(6)
    if way == 0:
        border.call(_core.Policy, **{**POLICY, junk.random.choice(list(POLICY)): junk.any()})
    elif way == 1:
        border.call(vm.MlpPolicy, **{**ARRAYS, junk.random.choice(list(ARRAYS)): junk.any()})
    elif way == 2:
        border.call(vm.PolicyPool, junk.any(), *([junk.any()] if junk.random.random() < 0.5 else []))
    elif way == 3:
        border.call(made, junk.any(), **({"threads": junk.any()} if junk.random.random() < 0.3 else {}))
    elif way == 4:
        names = ("seed", "episode", "step", "agent", "threads")
        keys = {name: junk.any() for name in names if name == "seed" or junk.random.random() < 0.3}
        border.call(made.sample, np.ones((2, 4)), **keys)
    else:
        rows = np.ones((2, 4), np.float32)
        given = (rows, *(np.ones(2, dtype) for dtype in ("u8", "u8", "u4")), 1, 1)
        keys = dict(zip(KEYS, given, strict=True))
        border.call(made.core.sample, **{**keys, junk.random.choice(KEYS): junk.any()})


def restore(border: Border) -> None:
    junk = border.junk
    state = junk.mutated(border.state[0]) if junk.random.random() < 0.9 else junk.any()

    def restore_and_play() -> None:
        """A damaged state that is taken after all has to be one that can be played."""
        border.engine.restore(state)
        agents = len(border.engine.acting)
        one_step = np.zeros((1, ENVS, agents, 2), dtype=np.float32)
        for autoreset in ("next_step", "same_step", None):
            with contextlib.suppress(ValueError):  # where an episode has ended
                border.engine.advance(one_step, autoreset=autoreset)
        border.engine.reset()
        border.renew()

    border.call(restore_and_play)


def wrong_signature(border: Border) -> None:
    junk = border.junk
    name = junk.random.choice(
        ("step", "reset", "advance", "rollout", "snapshot", "restore", "set_seats", "offers", "clock")
    )
    arguments = [junk.any() for _ in range(junk.random.randrange(4, 7))]
    border.call(getattr(border.engine, name), *arguments, **{"nonsense": junk.any()})


WAYS = (
    construct,
    change_a_field,
    clear,
    step,
    advance,
    rollout,
    reset,
    set_seats,
    policy,
    restore,
    wrong_signature,
)


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_random_bad_calls_are_refused_and_change_nothing(way: Callable[[Border], None]) -> None:
    border = Border(Junk(WAYS.index(way)))
    wanted = REFUSED_CALLS // len(WAYS) + 1
    for _ in range(4 * wanted):
        way(border)
        if border.refused >= wanted:
            return
    pytest.fail(f"only {border.refused} of {4 * wanted} calls were bad ones")
