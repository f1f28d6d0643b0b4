"""A call happens wholly or not at all: refusals leave no half step, and k steps leave what k calls leave."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import vecmarket as vm
from vecmarket import _core


def small(**changes: object) -> vm.Scenario:
    return vm.Scenario.default(n_generators=3, horizon=4).replace(**changes)


def actions(engine: _core.Engine, *lead: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (*lead, engine.num_envs, len(engine.acting), 2)
    return rng.uniform(-1, 1, shape).astype(np.float32)


def test_advance_moves_nothing_when_a_live_buffer_cannot_be_written() -> None:
    engine = vm.Engine(small(), 2)
    engine.reset()
    before = engine.snapshot()
    engine.rewards.flags.writeable = False
    with pytest.raises(RuntimeError, match="rewards"):
        engine.advance(actions(engine, 2))
    engine.rewards.flags.writeable = True
    assert engine.snapshot() == before


def test_seats_stay_when_a_live_buffer_cannot_be_written() -> None:
    engine = _core.Engine(small(), 2, seats=["acts", "truthful", "truthful"])
    engine.keep_offers()
    engine.reset()
    engine.observations.flags.writeable = False
    with pytest.raises(RuntimeError, match="observations"):
        engine.set_seats(["acts", 5.0, "truthful"])
    engine.observations.flags.writeable = True
    engine.step(actions(engine))
    np.testing.assert_array_equal(engine.offers()[0][:, 1], 30.0)


@pytest.mark.parametrize("mode", ["next_step", "same_step", None])
def test_play_is_a_step_that_marks_who_was_reset(mode: str | None) -> None:
    played, stepped = vm.Engine(small(), 3), vm.Engine(small(), 3)
    late = np.array([False, True, True])
    for engine in (played, stepped):
        engine.reset()
        engine.step(actions(engine), mode)
        engine.reset(mask=late)
    views = played.views()
    ended = np.zeros(3, bool)
    for given in actions(played, 3 if mode is None else 11):
        marked = played.play(given.reshape(-1, 2), mode)
        _, _, terminated, truncated = stepped.step(given, mode)
        ended_before, ended = ended, terminated | truncated
        expected = {"next_step": ended_before, "same_step": ended, None: np.zeros(3, bool)}[mode]
        assert marked is bool(expected.any())
        if marked:
            np.testing.assert_array_equal(views["flags"][2], expected)
        assert played.snapshot() == stepped.snapshot()
    live = (views["observations"], views["rewards"], *views["flags"][:2], *views["markets"])
    names = ("observations", "rewards", "terminated", "truncated", "prices", "demand", "unserved")
    for view, name in zip(live, names, strict=True):
        np.testing.assert_array_equal(view, getattr(stepped, name))


def test_play_leaves_what_it_does_not_take() -> None:
    engine = vm.Engine(small(), 2)
    engine.reset()
    before = engine.snapshot()
    rows = np.zeros((6, 2), np.float32)
    for other in (
        rows.astype(float),
        rows.tolist(),
        rows[:5],
        rows.reshape(2, 3, 2),
        np.asfortranarray(rows),
        None,
    ):
        assert engine.play(other) is None
    assert engine.snapshot() == before
    assert engine.play(rows) is False


@pytest.mark.parametrize("mode", ["next_step", "same_step"])
def test_advance_leaves_the_final_observations_that_single_steps_leave(mode: str) -> None:
    many, single = vm.Engine(small(), 3), vm.Engine(small(), 3)
    for engine in (many, single):
        engine.reset(mask=np.array([True, True, True]))
        for step in actions(engine, 5):
            engine.step(step, "same_step")
        assert engine.final_observations.any()
    given = actions(many, 7)
    many.advance(given, mode)
    for step in given:
        single.step(step, mode)
    np.testing.assert_array_equal(many.final_observations, single.final_observations)
    np.testing.assert_array_equal(many.observations, single.observations)


def test_a_snapshot_is_refused_by_an_engine_of_other_seats_or_another_limit() -> None:
    engine = _core.Engine(small(), 2, seats=["acts", "truthful", "truthful"])
    engine.reset()
    state = engine.snapshot()
    other = _core.Engine(small(), 2, seats=["acts", 10.0, "truthful"])
    with pytest.raises(ValueError, match="seats"):
        other.restore(state)
    other.set_seats(["acts", "truthful", "truthful"])
    other.restore(state)
    shorter = _core.Engine(small(), 2, seats=["acts", "truthful", "truthful"], max_episode_steps=2)
    with pytest.raises(ValueError, match="max_episode_steps"):
        shorter.restore(state)


def test_more_steps_than_memory_are_refused_and_the_engine_goes_on() -> None:
    engine = vm.Engine(small(), 1)
    engine.reset()
    huge = np.lib.stride_tricks.as_strided(np.zeros(2, np.float32), (2**28, 1, 3, 2), (0, 0, 0, 4))
    with pytest.raises((TypeError, ValueError)):
        engine.advance(huge)
    with pytest.raises(ValueError, match="num_envs"):
        vm.Engine(small(), 2**22 + 1)
    engine.step(actions(engine))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"demand": vm.Demand((1e308,))}, r"demand.series_mw\[0\]"),
        ({"demand": vm.Demand((1.0,) * 4, factor=1e16)}, "demand.factor"),
        ({"generators": (vm.Generator(1.0, vm.Uniform(-1.7e308, 1.7e308)),)}, r"generators\[0\].srmc.low"),
        ({"reward": vm.Reward(bid_penalty=1e16)}, "reward.bid_penalty"),
    ],
)
def test_numbers_whose_products_would_overflow_are_refused(changes: dict[str, object], place: str) -> None:
    with pytest.raises(ValueError, match=place):
        small(**changes)


@pytest.mark.parametrize(
    ("build", "place"),
    [
        (lambda: small(rules=vm.MarketRules(price_cap=False)), "rules.price_cap"),
        (lambda: small(generators=(vm.Generator(True, 10.0),)), r"generators\[0\].capacity_mw"),
        (lambda: small(generators=(vm.Generator(1.0, 10.0, availability=True),)), "availability"),
        (lambda: small(horizon=True), "horizon"),
        (lambda: vm.Engine(small(), True), "num_envs"),
        (lambda: vm.Engine(small(), 1, seed=True), "seed"),
    ],
)
def test_a_yes_or_no_is_no_number(build: Callable[[], object], place: str) -> None:
    with pytest.raises(TypeError, match=place):
        build()


def test_clear_refuses_numbers_whose_sums_would_overflow() -> None:
    for prices, quantities, demand, place in [
        ([1e308], [1.0], 1.0, r"prices\[0\]"),
        ([1.0], [1e308], 1.0, r"quantities\[0\]"),
        ([1.0], [1.0], 1e308, "demand"),
    ]:
        with pytest.raises(ValueError, match=place):
            vm.clear(prices, quantities, demand)
