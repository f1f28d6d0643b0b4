"""The replay buffer beside a slow one: what it keeps, what it draws, and what it refuses."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

import vecmarket as vm
from oracle.replay import Replay
from vecmarket import _core

REFUSED = (ValueError, TypeError)
OBS, ACT = 3, 2
LARGEST_HALF = 65504.0


def transitions(rng: np.random.Generator, rows: int, obs: int = OBS, act: int = ACT) -> list[Any]:
    """Return arrays of that many rows, of sizes that float16 rounds, underflows and just keeps."""
    size = np.float32(10.0) ** rng.integers(-9, 4, (2, rows, obs)).astype(np.float32)
    observations = rng.standard_normal((2, rows, obs)).astype(np.float32) * size
    return [
        observations[0],
        rng.standard_normal((rows, act)).astype(np.float32),
        rng.standard_normal(rows).astype(np.float32),
        observations[1],
        rng.random(rows) < 0.3,
        rng.random(rows) < 0.3,
    ]


def filled(capacity: int = 8, rows: int = 8, **options: Any) -> vm.ReplayBuffer:
    buffer = vm.ReplayBuffer(capacity, OBS, ACT, **options)
    buffer.add(*transitions(np.random.default_rng(0), rows))
    return buffer


# Beside the oracle


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**64 - 1),
    capacity=st.integers(1, 70),
    widths=st.tuples(st.integers(1, 40), st.integers(1, 20)),
    half=st.booleans(),
    alpha=st.one_of(st.none(), st.floats(0.0, 1.0)),
    adds=st.lists(st.integers(0, 90), min_size=1, max_size=6),
    beta=st.floats(0.0, 1.0),
)
def test_it_holds_and_draws_what_the_slow_one_does(
    seed: int,
    capacity: int,
    widths: tuple[int, int],
    half: bool,
    alpha: float | None,
    adds: list[int],
    beta: float,
) -> None:
    obs, act = widths
    storage = "float16" if half else "float32"
    buffer = vm.ReplayBuffer(capacity, obs, act, storage=storage, alpha=alpha, epsilon=1e-3, seed=seed)
    slow = Replay(capacity, half=half, alpha=alpha, epsilon=1e-3, seed=seed)
    rng = np.random.default_rng(seed)
    draws = 0
    for rows in adds:
        columns = transitions(rng, rows, obs, act)
        buffer.add(*columns)
        slow.add(*columns)
        assert (len(buffer), buffer.added) == (len(slow.rows), slow.added)
        if not slow.rows:
            continue
        for batch in (1, 100):
            drawn = buffer.sample(batch, beta=beta)
            chosen = slow.chosen(batch, draws)
            draws += 1
            assert drawn.indices.tolist() == chosen
            for place, row in enumerate(chosen):
                for column, expected in zip(drawn[:6], slow.rows[row], strict=True):
                    assert np.array_equal(column[place], expected)
            expected = np.ones(batch) if alpha is None else slow.corrections(chosen, beta)
            np.testing.assert_allclose(drawn.weights, expected, rtol=1e-6)
            if alpha is not None:
                # Priorities of rows that come late, and come twice.
                late = np.append(drawn.indices, rng.integers(0, slow.added, 20))
                priorities = (10.0 ** rng.uniform(-8, 4, len(late))).astype(np.float32)
                assert buffer.update_priorities(late, priorities) == slow.update(late, priorities)
    assert buffer.draws == draws


def test_half_precision_rounds_to_the_nearest_and_to_even() -> None:
    """All numbers of float16, all midpoints between two of them, and the floats on both sides of each."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    middles = (halves[:-1] + halves[1:]) / 2
    values = np.concatenate(
        [halves, middles, np.nextafter(middles, 0), np.nextafter(middles, np.float32(1e9))]
    )
    values = np.concatenate([values, -values, [np.nextafter(np.float32(65520), 0)]]).astype(np.float32)
    buffer = vm.ReplayBuffer(len(values), 1, 1, storage="float16")
    ones = np.ones((len(values), 1), np.float32)
    buffer.add(values[:, None], ones, ones[:, 0], -values[:, None], ones[:, 0] > 0)
    # Exactly representable, so that it finds all rows: draws are too many to miss one.
    seen = np.full(len(values), np.nan, np.float32)
    for draw in range(40):
        drawn = buffer.sample(len(values), draw=draw)
        seen[drawn.indices] = drawn.observations[:, 0]
        assert np.array_equal(drawn.observations, -drawn.next_observations)
    assert not np.isnan(seen).any()
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16).astype(np.float32)
    assert np.isfinite(expected).all()
    assert np.array_equal(seen, expected)


def test_the_last_rows_stay_of_more_than_fit() -> None:
    buffer = vm.ReplayBuffer(4, 1, 1)
    numbers = np.arange(11, dtype=np.float32)
    for part in (numbers[:3], numbers[3:]):
        buffer.add(part[:, None], part[:, None], part, part[:, None], part < 0)
    drawn = buffer.sample(200)
    assert set(drawn.rewards.tolist()) == {7.0, 8.0, 9.0, 10.0}
    assert np.array_equal(drawn.rewards, drawn.indices)
    assert not drawn.truncated.any()  # None was given


# Sampling


def test_uniform_sampling_is_uniform() -> None:
    buffer = filled(capacity=50, rows=120, seed=3)
    counts = np.zeros(50)
    for _ in range(200):
        np.add.at(counts, buffer.sample(1000).indices - 70, 1)
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_prioritised_sampling_follows_the_priorities(alpha: float) -> None:
    """Samples of one row each, in which strata play no part."""
    rows = 40
    buffer = filled(capacity=rows, rows=rows, alpha=alpha, epsilon=1e-6, seed=4)
    priorities = np.random.default_rng(1).exponential(size=rows)
    priorities[:3] = (0.0, 5.0, 1e-3)
    buffer.update_priorities(np.arange(rows), priorities)
    expected = (priorities + 1e-6) ** alpha
    expected /= expected.sum()
    draws = 40_000
    out = buffer.sample(1)
    counts = np.zeros(rows)
    for draw in range(draws):
        counts[buffer.sample(out=out, draw=draw).indices[0]] += 1
    # Rows that are hardly ever drawn are counted together.
    rare = expected * draws < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum()) * draws
    if wanted[-1] < 5:
        assert observed[-1] < 25
        observed, wanted = observed[:-1], wanted[:-1] * observed[:-1].sum() / wanted[:-1].sum()
    assert stats.chisquare(observed, wanted).pvalue > 0.01


def test_strata_spread_a_sample_over_the_whole_weight() -> None:
    """Of B equal rows, a sample of B holds every one: uniform draws would miss a third."""
    buffer = filled(capacity=64, rows=64, alpha=0.7)
    assert sorted(buffer.sample(64).indices) == list(range(64))
    assert len(set(filled(capacity=64, rows=64).sample(64).indices)) < 55


def test_importance_weights_take_the_bias_back() -> None:
    """The weighted mean of a quantity over prioritised samples is its mean over the buffer."""
    rows = 200
    buffer = vm.ReplayBuffer(rows, 1, 1, alpha=0.8)
    quantity = np.random.default_rng(2).random(rows).astype(np.float32)
    buffer.add(quantity[:, None], quantity[:, None], quantity, quantity[:, None], quantity < 0)
    buffer.update_priorities(np.arange(rows), 0.1 + quantity)
    plain, weighted, total = 0.0, 0.0, 0.0
    for _ in range(300):
        drawn = buffer.sample(500, beta=1.0)
        # The largest weight of a sample is 1; that of the buffer belongs to the least quantity.
        scale = (0.1 + drawn.rewards.min()) ** -0.8
        plain += drawn.rewards.mean() / 300
        weighted += float((drawn.weights * drawn.rewards).sum()) * scale
        total += float(drawn.weights.sum()) * scale
    assert abs(weighted / total - quantity.mean()) < 0.002
    assert plain - quantity.mean() > 0.05


def test_new_rows_are_drawn_with_the_largest_priority() -> None:
    buffer = filled(capacity=100, rows=50, alpha=1.0, epsilon=1e-6)
    buffer.update_priorities(np.arange(50), np.full(50, 1e-3))
    buffer.update_priorities([7], [9.0])
    buffer.update_priorities([7], [1e-3])
    buffer.add(*transitions(np.random.default_rng(5), 50))
    drawn = buffer.sample(10_000)
    assert (drawn.indices >= 50).mean() > 0.999
    # 9 against 1e-3.
    weights = buffer.sample(100_000, beta=1.0).weights
    assert weights.min() == pytest.approx((1e-3 + 1e-6) / 9.0, rel=1e-4)


def test_late_priorities_do_not_touch_the_rows_that_took_the_slots() -> None:
    rng = np.random.default_rng(6)
    buffer = filled(capacity=8, rows=8, alpha=1.0)
    old = buffer.sample(50).indices
    buffer.add(*transitions(rng, 5))
    before = buffer.snapshot()
    assert buffer.update_priorities(old[old < 5], np.full((old < 5).sum(), 1e6)) == 0
    assert buffer.snapshot() == before
    assert buffer.update_priorities(old, np.zeros(50)) == (old >= 5).sum()


# Keys


@pytest.mark.parametrize("alpha", [None, 0.6])
def test_a_sample_follows_from_its_key(alpha: float | None) -> None:
    buffer = filled(capacity=100, rows=100, alpha=alpha, seed=11)
    again = filled(capacity=100, rows=100, alpha=alpha, seed=99)
    mine = [buffer.sample(30) for _ in range(3)]
    assert buffer.draws == 3
    for draw in (2, 0, 1):  # in any order, of any buffer that holds the same
        assert_same(mine[draw], again.sample(30, seed=11, draw=draw))
        assert_same(mine[draw], buffer.sample(30, draw=draw))
    assert (buffer.draws, again.draws) == (3, 0)
    others = (again.sample(30, draw=0), buffer.sample(30, draw=2**64 - 1), buffer.sample(30))
    assert all((other.indices != mine[0].indices).any() for other in others)


def assert_same(one: vm.ReplayBatch, other: vm.ReplayBatch) -> None:
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_a_sample_can_be_written_into_arrays_that_are_there() -> None:
    buffer = filled(alpha=0.5)
    out = buffer.sample(20, draw=0)
    kept = vm.ReplayBatch(*(array.copy() for array in out))
    assert buffer.sample(out=out, draw=1) is out
    assert (out.indices != kept.indices).any()
    assert_same(buffer.sample(20, out=out, draw=0), kept)
    # Torch sees the memory itself, and its own memory can be written into.
    tensors = [torch.from_numpy(array) for array in out]
    buffer.sample(out=vm.ReplayBatch(*(tensor.numpy() for tensor in tensors)), draw=1)
    assert_same(out, buffer.sample(20, draw=1))


def test_what_is_no_float32_is_converted() -> None:
    given: list[Any] = transitions(np.random.default_rng(8), 6)
    buffer, other = (vm.ReplayBuffer(6, OBS, ACT, alpha=1.0) for _ in range(2))
    buffer.add(*given)
    wide = [column.astype(np.float64) for column in given[:4]] + [given[4][::-1].copy()[::-1]]
    other.add(*(np.asfortranarray(column) for column in wide[:4]), wide[4], given[5].tolist())
    assert buffer.snapshot() == other.snapshot()
    assert buffer.update_priorities([0, 1], [1, 2]) == 2


# State


@pytest.mark.parametrize("rows", [0, 5, 8, 21])
@pytest.mark.parametrize("options", [{}, {"storage": "float16", "alpha": 0.6}])
def test_a_run_goes_on_after_a_restore(rows: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(9)
    buffer = filled(rows=rows, seed=1, **options)
    if rows:
        drawn = buffer.sample(6)
        if buffer.alpha is not None:
            buffer.update_priorities(drawn.indices, rng.random(6))
    state = buffer.snapshot()
    other = filled(rows=13, seed=2, **options)
    other.sample(3)
    other.restore(state)
    assert other.snapshot() == state
    assert (len(other), other.added, other.seed, other.draws) == (
        len(buffer),
        buffer.added,
        buffer.seed,
        buffer.draws,
    )
    more = transitions(rng, 4)
    for one in (buffer, other):
        one.add(*more)
    assert_same(buffer.sample(50), other.sample(50))
    assert buffer.snapshot() == other.snapshot()


STATES: dict[str, Callable[[bytes], Any]] = {
    "empty": lambda state: b"",
    "not a snapshot": lambda state: b"x" * len(state),
    "cut": lambda state: state[:-1],
    "longer": lambda state: state + b"\0",
    "one bit": lambda state: state[:60] + bytes([state[60] ^ 4]) + state[61:],
    "of an engine": lambda state: vm.Engine(vm.Scenario.default(), 1).snapshot(),
    "another capacity": lambda state: filled(capacity=9, alpha=0.5).snapshot(),
    "another width": lambda state: vm.ReplayBuffer(8, OBS + 1, ACT, alpha=0.5).snapshot(),
    "another storage": lambda state: filled(storage="float16", alpha=0.5).snapshot(),
    "uniform": lambda state: filled().snapshot(),
    "another alpha": lambda state: filled(alpha=0.25).snapshot(),
    "None": lambda state: None,
    "text": lambda state: state.decode("latin-1"),
}


@pytest.mark.parametrize("case", STATES)
def test_a_bad_state_is_refused(case: str) -> None:
    buffer = filled(alpha=0.5)
    before = buffer.snapshot()
    with pytest.raises(REFUSED, match="state"):
        buffer.restore(STATES[case](before))
    assert buffer.snapshot() == before


# Refusals


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 3, 2), {}, "capacity: must be at least 1, got 0"),
        ((-1, 3, 2), {}, "capacity: must be at least 1, got -1"),
        ((2.5, 3, 2), {}, "capacity: must be an integer"),
        ((True, 3, 2), {}, "capacity"),
        ((2**70, 3, 2), {}, "capacity"),
        ((2**62, 3, 2), {}, "capacity"),
        ((2**50, 3, 2), {}, "capacity: needs .* bytes"),
        ((8, 0, 2), {}, "obs_dim: must be at least 1, got 0"),
        ((8, 2**62, 2), {}, "capacity"),
        ((8, 3, 0), {}, "action_dim: must be at least 1, got 0"),
        ((8, 3, "2"), {}, "action_dim"),
        ((8, 3, 2), {"storage": "bfloat16"}, "storage: unknown name.*float32, float16"),
        ((8, 3, 2), {"storage": 16}, "storage: must be a string"),
        ((8, 3, 2), {"alpha": 1.5}, r"alpha: must be in \[0, 1\], got 1.5"),
        ((8, 3, 2), {"alpha": math.nan}, "alpha"),
        ((8, 3, 2), {"alpha": "0.6"}, "alpha: must be a number"),
        ((8, 3, 2), {"alpha": 0.5, "epsilon": 0.0}, "epsilon: .*got 0"),
        ((8, 3, 2), {"alpha": 0.5, "epsilon": math.inf}, "epsilon"),
        ((8, 3, 2), {"seed": -1}, "seed"),
        ((8, 3, 2), {"seed": 2**64}, "seed"),
        ((8, 3, 2), {"seed": 0.5}, "seed"),
    ],
)
def test_a_buffer_is_not_made_of_bad_arguments(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(REFUSED, match=message):
        vm.ReplayBuffer(*arguments, **options)


def spoilt(column: int, value: Any, *place: int) -> list[Any]:
    """Return four good transitions of which one number is another."""
    columns = transitions(np.random.default_rng(0), 4)
    columns[column][place] = value
    return columns


def replaced(column: int, value: Any) -> list[Any]:
    columns = transitions(np.random.default_rng(0), 4)
    columns[column] = value(columns[column]) if callable(value) else value
    return columns


ADDS: list[tuple[list[Any], str]] = [
    (spoilt(0, math.nan, 3, 2), r"observations\[3, 2\]: must be finite.*got NaN"),
    (spoilt(0, 65520.0, 1, 0), r"observations\[1, 0\]: .*65520.*float16, got 65520"),
    (spoilt(1, math.inf, 0, 1), r"actions\[0, 1\]: must be finite, got inf"),
    (spoilt(2, -math.inf, 2), r"rewards\[2\]: must be finite, got -inf"),
    (spoilt(3, -1e9, 2, 1), r"next_observations\[2, 1\]: .*float16, got -1000000000"),
    (replaced(0, lambda x: x[:3]), r"actions: .*\[3, 2\], got shape \[4, 2\]"),
    (replaced(0, lambda x: x[:, :2]), r"observations: must have shape \(N, 3\), got \[4, 2\]"),
    (replaced(0, lambda x: x[0]), "observations"),
    (replaced(0, "text"), "observations"),
    (replaced(0, None), "observations"),
    (replaced(1, lambda x: x[:, 0]), r"actions: .*\[4, 2\], got shape \[4\]"),
    (replaced(2, lambda x: x[:, None]), "rewards"),
    (replaced(2, lambda x: x[0]), "rewards"),
    (replaced(2, lambda x: x.astype(complex)), "rewards"),
    (replaced(3, lambda x: x[:-1]), "next_observations"),
    (replaced(4, lambda x: x[:-1]), r"terminated: .*\[4\], got shape \[3\]"),
    (replaced(4, lambda x: x.astype(np.int8)), "terminated: must be bool, got dtype int8"),
    (replaced(5, lambda x: x[:, None]), "truncated"),
    (replaced(5, lambda x: x.astype(float)), "truncated: must be bool"),
]


@pytest.mark.parametrize(("columns", "message"), ADDS)
def test_bad_transitions_are_refused(columns: list[Any], message: str) -> None:
    buffer = filled(alpha=0.5, storage="float16")
    before = buffer.snapshot()
    with pytest.raises(REFUSED, match=message):
        buffer.add(*columns)
    assert buffer.snapshot() == before


def test_float32_keeps_what_float16_cannot() -> None:
    buffer = vm.ReplayBuffer(4, OBS, ACT)
    buffer.add(*spoilt(0, 3e38, 1, 0))
    assert buffer.sample(50).observations.max() == np.float32(3e38)


@pytest.mark.parametrize("storage", ["float32", "float16"])
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (0, 1e300, r"observations\[1, 2\]: must be at most 3\.40282\S*e\+38 in size, got 1e\+300"),
        (1, -1e39, r"actions\[1, 1\]: must be at most .* got -1e\+39"),
        (2, 1e40, r"rewards\[1\]: must be at most .* got 1e\+40"),
        (3, -1e300, r"next_observations\[1, 2\]: must be at most .* got -1e\+300"),
    ],
)
def test_what_is_beyond_float32_is_refused(storage: str, column: int, value: float, message: str) -> None:
    columns = [
        np.zeros((2, 3)),
        np.zeros((2, 2)),
        np.zeros(2),
        np.zeros((2, 3)),
        np.zeros(2, bool),
    ]
    columns[column].flat[-1] = value
    buffer = vm.ReplayBuffer(4, 3, 2, storage=storage)
    with pytest.raises(ValueError, match=message):
        buffer.add(*columns)
    assert buffer.added == 0
    columns[column].flat[-1] = np.inf
    with pytest.raises(ValueError, match="must be finite"):
        buffer.add(*columns)


def test_priorities_beyond_float32_are_refused() -> None:
    buffer = filled(alpha=0.5)
    before = buffer.snapshot()
    with pytest.raises(ValueError, match=r"priorities\[1\]: must be at most .* got 1e\+39"):
        buffer.update_priorities([0, 1], [1.0, 1e39])
    assert buffer.snapshot() == before


def out_with(name: str, change: Any) -> vm.ReplayBatch:
    batch = filled().sample(5)
    return batch._replace(**{name: change(getattr(batch, name))})


def locked(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


SAMPLES: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 0}, "batch_size: must be at least 1, got 0"),
    ({"batch_size": 2.0}, "batch_size: must be a whole number"),
    ({}, "batch_size: must be given"),
    ({"batch_size": 4, "seed": -1}, "seed"),
    ({"batch_size": 4, "draw": -1}, "draw"),
    ({"batch_size": 4, "draw": 2**64}, "draw"),
    ({"batch_size": 4, "draw": 0.5}, "draw"),
    ({"batch_size": 4, "beta": 1.01}, r"beta: must be in \[0, 1\], got 1.01"),
    ({"batch_size": 4, "beta": math.nan}, "beta"),
    ({"batch_size": 4, "beta": "1"}, "beta"),
    ({"batch_size": 4, "out": filled().sample(5)}, "out: must have room for batch_size 4 rows, got 5"),
    ({"out": out_with("observations", lambda x: x[:, :2].copy())}, r"out\.observations"),
    (
        {"out": out_with("observations", lambda x: x.astype(np.float64))},
        r"out\.observations: .*dtype float64",
    ),
    ({"out": out_with("actions", lambda x: x[:4])}, r"out\.actions: .*shape \[4, 2\]"),
    ({"out": out_with("rewards", lambda x: x[::-1])}, r"out\.rewards: .*not contiguous"),
    ({"out": out_with("next_observations", np.asfortranarray)}, r"out\.next_observations"),
    ({"out": out_with("terminated", lambda x: x.view(np.uint8))}, r"out\.terminated: .*uint8"),
    ({"out": out_with("indices", lambda x: x.astype(np.int32))}, r"out\.indices"),
    ({"out": out_with("weights", lambda x: None)}, r"out\.weights"),
    ({"out": tuple(filled().sample(5))[:7]}, "out: must be the eight arrays"),
]


@pytest.mark.parametrize(("options", "message"), SAMPLES)
def test_bad_samples_are_refused(options: dict[str, Any], message: str) -> None:
    buffer = filled(alpha=0.5)
    before = buffer.snapshot()
    with pytest.raises(REFUSED, match=message):
        buffer.sample(**options)
    assert buffer.snapshot() == before


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("rewards", locked, r"out\.rewards: cannot be borrowed"),
        ("next_observations", None, r"out\.next_observations: cannot be borrowed"),
    ],
)
def test_arrays_that_cannot_be_written_are_refused(name: str, change: Any, message: str) -> None:
    batch = filled().sample(5)
    out = batch._replace(**{name: change(getattr(batch, name)) if change else batch.observations})
    kept = [array.copy() for array in out]
    with pytest.raises(RuntimeError, match=message):
        filled().sample(out=out)
    assert all(np.array_equal(array, before) for array, before in zip(out, kept, strict=True))


def test_an_empty_buffer_has_nothing_to_sample() -> None:
    buffer = vm.ReplayBuffer(8, OBS, ACT, alpha=0.5)
    buffer.add(*transitions(np.random.default_rng(0), 0))
    with pytest.raises(RuntimeError, match="nothing to sample"):
        buffer.sample(1)
    assert (len(buffer), buffer.draws) == (0, 0)


@pytest.mark.parametrize(
    ("indices", "priorities", "message"),
    [
        ([0, 1], [1.0, -0.5], r"priorities\[1\]: must be finite and >= 0, got -0.5"),
        ([0, 1], [math.nan, 1.0], r"priorities\[0\]: .*got NaN"),
        ([0, 1], [1.0], r"priorities: .*\[2\], got shape \[1\]"),
        ([0, 8], [1.0, 1.0], r"indices\[1\]: must be the number of an added row, below 8, got 8"),
        ([-1, 0], [1.0, 1.0], r"indices\[0\]: .*got -1"),
        ([0.0, 1.0], [1.0, 1.0], "indices: must be integers, got dtype float64"),
        ([[0], [1]], [1.0, 1.0], "indices: must have one dimension"),
        (np.array([2**63], np.uint64), [1.0], "indices"),
        ([0], ["x"], "priorities"),
    ],
)
def test_bad_priorities_are_refused(indices: Any, priorities: Any, message: str) -> None:
    buffer = filled(alpha=0.5)
    before = buffer.snapshot()
    with pytest.raises(REFUSED, match=message):
        buffer.update_priorities(indices, priorities)
    assert buffer.snapshot() == before


def test_a_uniform_buffer_has_no_priorities() -> None:
    with pytest.raises(RuntimeError, match="alpha"):
        filled().update_priorities([0], [1.0])


def test_the_core_takes_exact_arrays_alone() -> None:
    buffer = _core.ReplayBuffer(8, OBS, ACT)
    columns = transitions(np.random.default_rng(0), 4)
    with pytest.raises(TypeError, match=r"rewards: must be a C-contiguous float32 array.*got dtype float64"):
        buffer.add(columns[0], columns[1], columns[2].astype(np.float64), *columns[3:])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="observations: must be an array, got list"):
        buffer.add(columns[0].tolist(), *columns[1:])


# Threads


def marked(mark: NDArray[np.int64], obs: int, act: int) -> list[Any]:
    """Return rows whose every number follows from the row's own: a torn one contradicts itself."""
    observations = ((mark[:, None] * 31 + np.arange(obs)) % 2003).astype(np.float32)
    actions = ((mark[:, None] * 17 + np.arange(act)) % 2003).astype(np.float32)
    return [observations, actions, mark.astype(np.float32), -observations, mark % 2 == 0, mark % 3 == 0]


@pytest.mark.parametrize("storage", ["float32", "float16"])
@pytest.mark.parametrize("alpha", [None, 0.6])
def test_no_reader_sees_a_torn_row(storage: str, alpha: float | None) -> None:
    """A small buffer is written over and over while threads read it."""
    capacity, obs, act, seconds = 500, 33, 5, 0.7
    buffer = vm.ReplayBuffer(capacity, obs, act, storage=storage, alpha=alpha)
    buffer.add(*marked(np.arange(capacity), obs, act))
    stop = threading.Event()
    wrong: list[str] = []
    rounds = [0] * 3
    overtaken = [0]

    def read(reader: int) -> None:
        while not stop.is_set():
            drawn = buffer.sample(700, seed=reader)
            rounds[reader] += 1
            for column, expected in zip(drawn[:6], marked(drawn.indices, obs, act), strict=True):
                if not np.array_equal(column, expected):
                    wrong.append(f"reader {reader}: {column} is not {expected}")
                    return
            if alpha is not None:
                there = buffer.update_priorities(drawn.indices, drawn.rewards % 7)
                overtaken[0] += there < len(drawn.indices)

    readers = [threading.Thread(target=read, args=(reader,)) for reader in range(3)]
    for reader in readers:
        reader.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end or (min(rounds) < 20 and not wrong and time.monotonic() < end + 60):
        buffer.add(*marked(buffer.added + np.arange(170), obs, act))
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert min(rounds) >= 20
    assert buffer.added > 10 * capacity
    assert alpha is None or overtaken[0] > 0


@pytest.mark.parametrize("call", ["add", "sample", "update_priorities", "snapshot"])
def test_another_thread_runs_during_a_call(call: str) -> None:
    """No thread is interrupted, so the other one can only count while the call has let go of the lock."""
    rows = 20_000
    buffer = vm.ReplayBuffer(rows, 30, 2, alpha=0.5)
    columns = transitions(np.random.default_rng(0), rows, 30)
    buffer.add(*columns)
    out = buffer.sample(rows)
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: buffer.add(*columns),
        "sample": lambda: buffer.sample(out=out),
        "update_priorities": lambda: buffer.update_priorities(out.indices, out.weights),
        "snapshot": buffer.snapshot,
    }
    count, counted = 0, 0
    stop = threading.Event()

    def tick() -> None:
        nonlocal count
        while not stop.is_set():
            count += 1
            time.sleep(1e-5)

    ticker = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        ticker.start()
        for _ in range(300):
            before = count
            calls[call]()
            counted += count - before
            if counted > 0:
                break
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        ticker.join()
    assert counted > 0


def test_memory_is_what_it_says() -> None:
    plain = vm.ReplayBuffer(1000, 7, 2)
    assert plain.nbytes == 1000 * 4 * (7 + 7 + 2 + 1 + 1)
    assert vm.ReplayBuffer(1000, 7, 2, storage="float16").nbytes == 1000 * 4 * (4 + 4 + 2 + 1 + 1)
    weighted = vm.ReplayBuffer(1000, 7, 2, alpha=0.5)
    assert plain.nbytes + 8 * 1000 < weighted.nbytes < plain.nbytes + 10 * 1000
    assert (plain.capacity, plain.obs_dim, plain.action_dim) == (1000, 7, 2)
    assert (plain.storage, plain.alpha, plain.epsilon, plain.seed) == ("float32", None, None, 0)
