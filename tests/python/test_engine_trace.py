"""The record of an episode: `Engine.trace` and `record_episode`."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from vecmarket.engine import record_episode

T, A = 8, 3
SCENARIO = vm.Scenario(
    generators=(
        vm.Generator(50.0, 20.0),
        vm.Generator(40.0, 30.0),
        vm.Generator(vm.Uniform(30.0, 60.0), 40.0),
    ),
    demand=vm.Demand(tuple(60 + 40 * np.sin(np.arange(48) / 4)), noise=0.05),
    horizon=T,
    episode_start="random",
)


def test_shapes() -> None:
    trace = vm.Engine(SCENARIO, 4).trace()
    assert isinstance(trace, vm.Trace)
    assert trace.agents == SCENARIO.agents
    assert trace.acting == (0, 1, 2)
    features = trace.observations.shape[-1]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("hour", "demand", "price", "unserved"), (T,))
    shapes |= dict.fromkeys(("offer_prices", "offer_quantities", "dispatch", "profits", "rewards"), (T, A))
    shapes |= {"observations": (T, A, features), "actions": (T, A, 2), "capacities": (A,), "srmc": (A,)}
    for name, shape in shapes.items():
        assert getattr(trace, name).shape == shape, name
    assert {f.name for f in fields(trace)} == {*shapes, "agents", "acting"}
    with pytest.raises(FrozenInstanceError):
        trace.price = trace.demand  # type: ignore[misc]


def test_truthful_bidding_adds_up() -> None:
    trace = vm.Engine(SCENARIO, 1, seed=4).trace()
    np.testing.assert_array_equal(trace.offer_prices, np.tile(trace.srmc, (T, 1)))
    np.testing.assert_array_equal(trace.offer_quantities, np.tile(trace.capacities, (T, 1)))
    np.testing.assert_allclose(trace.dispatch.sum(axis=1) + trace.unserved, trace.demand)
    np.testing.assert_allclose(trace.profits, (trace.price[:, None] - trace.srmc) * trace.dispatch)
    np.testing.assert_array_equal(np.diff(trace.hour), np.ones(T - 1))
    assert not trace.actions.any()


def test_the_engine_goes_on_undisturbed() -> None:
    engine, twin = vm.Engine(SCENARIO, 3, seed=1), vm.Engine(SCENARIO, 3, seed=1)
    actions = np.zeros((3, A, 2), np.float32)
    for step in range(T):
        if step == 0:
            engine.reset()
            twin.reset()
        engine.trace(seed=step)
        for a, b in zip(engine.step(actions), twin.step(actions), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("limit", [1, 3, T, T + 5, None])
def test_it_stops_at_the_limit_of_the_engine(limit: int | None) -> None:
    engine = vm.Engine(SCENARIO, 1, seed=2, threads=1, max_episode_steps=limit)
    steps = T if limit is None else min(limit, T)
    trace, whole = engine.trace(), vm.Engine(SCENARIO, 1, seed=2, threads=1).trace()
    for field in fields(trace)[2:-2]:
        np.testing.assert_array_equal(getattr(trace, field.name), getattr(whole, field.name)[:steps])
    assert engine.trace(np.zeros((steps, A, 2))).price.shape == (steps,)
    with pytest.raises(ValueError, match="policy"):
        engine.trace(np.zeros((steps + 1, A, 2)))


def test_it_is_the_episode_that_the_engine_plays() -> None:
    """Environment 0 of an engine of the same seed sees, bids, clears and earns the same."""
    rng = np.random.default_rng(0)
    plan = rng.uniform(-0.5, 0.9, (T, A, 2)).astype(np.float32)
    engine = vm.Engine(SCENARIO, 2, seed=9)
    engine.keep_offers()
    trace = engine.trace(plan)
    observations = engine.reset()
    for step in range(T):
        np.testing.assert_array_equal(trace.observations[step], observations[0])
        assert trace.hour[step] == engine.clock()[1][0]
        observations, rewards, _, _ = engine.step(np.repeat(plan[step][np.newaxis], 2, axis=0))
        np.testing.assert_array_equal(trace.rewards[step], rewards[0])
        np.testing.assert_array_equal(trace.dispatch[step], engine.dispatch[0])
        np.testing.assert_array_equal(trace.profits[step], engine.profits[0])
        np.testing.assert_array_equal(trace.offer_prices[step], engine.offers()[0][0])
        np.testing.assert_array_equal(trace.offer_quantities[step], engine.offers()[1][0])
        assert trace.price[step] == engine.prices[0]
        assert trace.demand[step] == engine.demand[0]
        assert trace.unserved[step] == engine.unserved[0]
    np.testing.assert_array_equal(trace.actions, plan)


def test_policies() -> None:
    engine = vm.Engine(SCENARIO, 1)
    shown: list[np.ndarray] = []

    def bid(observations: np.ndarray) -> np.ndarray:
        shown.append(observations)
        return np.stack([observations[:, 0] * 0.2, observations[:, 1]], axis=1)

    asked = engine.trace(bid)
    assert len(shown) == T
    np.testing.assert_array_equal(np.stack(shown), asked.observations)
    planned = engine.trace(asked.actions.astype(np.float64))
    for name in ("price", "dispatch", "rewards", "observations"):
        np.testing.assert_array_equal(getattr(asked, name), getattr(planned, name))


def test_seed_and_start() -> None:
    engine = vm.Engine(SCENARIO, 1, seed=3)
    np.testing.assert_array_equal(engine.trace().demand, engine.trace(seed=3).demand)
    assert (engine.trace(seed=4).demand != engine.trace(seed=3).demand).any()
    np.testing.assert_array_equal(engine.trace(start=12).hour, np.arange(12, 12 + T))


def test_other_seats() -> None:
    """Only who acts is seen, asked and rewarded; the market is the whole market."""
    seats = ["truthful", "acts", 5.0]
    trace = record_episode(SCENARIO, np.tile(np.float32([0.5, 0.2]), (T, 1, 1)), seats=seats, seed=2)
    whole = record_episode(SCENARIO, seed=2)
    assert trace.acting == (1,)
    assert trace.observations.shape[:2] == trace.actions.shape[:2] == trace.rewards.shape == (T, 1)
    np.testing.assert_array_equal(trace.offer_quantities[:, 1], 20.0)
    np.testing.assert_array_equal(trace.offer_prices[:, 0], 20.0)
    np.testing.assert_array_equal(trace.offer_prices[:, 2], 45.0)
    np.testing.assert_array_equal(trace.demand, whole.demand)
    np.testing.assert_array_equal(trace.observations[:, 0], whole.observations[:, 1])


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        (np.zeros((T, A, 3)), ValueError),
        (np.zeros((T - 1, A, 2)), ValueError),
        (np.zeros((A, 2)), ValueError),
        (lambda seen: np.zeros(2), ValueError),
        (lambda seen: None, TypeError),
        ("truthful", TypeError),
        (np.zeros((T, A, 2), complex), TypeError),
    ],
)
def test_bad_policies(policy: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="policy"):
        vm.Engine(SCENARIO, 1).trace(policy)


def test_not_finite() -> None:
    with pytest.raises(ValueError, match="agent 2"):
        vm.Engine(SCENARIO, 1).trace(lambda seen: np.float32([[0, 0], [0, 0], [0, np.nan]]))


def test_the_engine_is_as_published() -> None:
    """`vm.Engine(scenario, num_envs, *, seed, threads)`: every agent acts, and seats are not its business."""
    engine = vm.Engine(SCENARIO, 2, seed=1, threads=1)
    assert engine.scenario is SCENARIO
    assert engine.acting == [0, 1, 2]
    with pytest.raises(TypeError, match="seats"):
        vm.Engine(SCENARIO, 2, seats=["acts"] * 3)  # type: ignore[call-arg]
