"""The single environment: plain Python numbers, copies, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from env_parity import DEFAULT, DRAWN, WINDOWS

import vecmarket as vm


def started(scenario: vm.Scenario = DEFAULT, **options: Any) -> vm.MarketEnv:
    env = vm.MarketEnv(scenario, **options)
    env.reset(seed=0)
    return env


def test_types() -> None:
    env = vm.MarketEnv(DEFAULT)
    observation, info = env.reset(seed=0)
    assert (observation.dtype, observation.shape, info) == (np.float32, (7,), {})
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert observation in env.observation_space
    assert type(reward) is float
    assert (terminated, truncated) == (False, False)
    assert set(info) == {"profit", "price", "demand", "dispatch", "unserved"}
    assert all(type(value) is float for value in info.values())
    assert np.float32(reward) == reward


def test_an_episode_adds_up() -> None:
    """Profit is (price - srmc) * dispatch, and the market's demand is served but for what is unserved."""
    env = started(learner=4)
    srmc = DEFAULT.generators[4].srmc
    steps, over = 0, False
    while not over:
        _, _, terminated, truncated, info = env.step([0.0, 0.4])
        over = terminated or truncated
        steps += 1
        assert info["profit"] == pytest.approx((info["price"] - srmc) * info["dispatch"])
        assert info["unserved"] == pytest.approx(max(0.0, info["demand"] - 150.0))
    assert steps == DEFAULT.horizon
    with pytest.raises(ValueError, match="episode has ended"):
        env.step([0.0, 0.4])


def test_what_was_handed_out_stays() -> None:
    env = vm.MarketEnv(DEFAULT)
    first, _ = env.reset(seed=0)
    kept = first.copy()
    second = env.step([0.0, 0.0])[0]
    second[:] = 9
    np.testing.assert_array_equal(first, kept)
    assert env.step([0.0, 0.0])[0].max() < 9


def test_seeds() -> None:
    env, other = vm.MarketEnv(DRAWN), vm.MarketEnv(DRAWN)
    np.testing.assert_array_equal(env.reset(seed=np.int64(5))[0], other.reset(seed=5)[0])
    assert env.np_random_seed == 5
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
    assert len({tuple(vm.MarketEnv(DRAWN).reset()[0]) for _ in range(4)}) == 4
    fresh = vm.MarketEnv(DRAWN)
    np.testing.assert_array_equal(env.reset(seed=fresh.np_random_seed)[0], fresh.reset()[0])
    with pytest.raises(ValueError, match="seed"):
        env.reset(seed=-1)
    with pytest.raises(TypeError, match="seed"):
        env.reset(seed=[1])  # type: ignore[arg-type]


def test_start() -> None:
    env = vm.MarketEnv(WINDOWS.replace(demand=vm.Demand(WINDOWS.demand.series_mw)))
    options = {"start": 72}
    env.reset(seed=0, options=options)
    assert options == {"start": 72}
    assert env.step([0.0, 0.0])[4]["demand"] == pytest.approx(WINDOWS.demand.series_mw[72])
    with pytest.raises(ValueError, match="start"):
        env.reset(options={"start": -5})
    with pytest.raises(ValueError, match="'begin'"):
        env.reset(options={"begin": 5})


def test_learner_by_name_and_rivals() -> None:
    env = started(DRAWN, learner="oil", rivals={"coal": 5.0})
    assert env.learner == 2
    assert env.rivals == {"coal": 5.0}
    env.rivals = lambda seen: np.zeros((len(seen), 2))
    env.reset(seed=1)
    alone = vm.MarketEnv(DRAWN, learner="oil")
    alone.reset(seed=1)
    # "truthful" for all, once in Python for two and once in the engine.
    np.testing.assert_array_equal(env.step([0.1, 0.2])[0], alone.step([0.1, 0.2])[0])


@pytest.mark.parametrize("action", [[0.0], [0.0, 0.0, 0.0], [[0.0, 0.0]], [np.nan, 0.0], [0.0, -np.inf]])
def test_bad_actions(action: Any) -> None:
    env, twin = started(), started()
    with pytest.raises(ValueError, match="action"):
        env.step(action)
    np.testing.assert_array_equal(env.step([0.0, 0.0])[0], twin.step([0.0, 0.0])[0])


@pytest.mark.parametrize("action", [["a", "b"], [1j, 0], None])
def test_actions_that_are_no_numbers(action: Any) -> None:
    with pytest.raises(TypeError, match="action"):
        started().step(action)


def test_refused() -> None:
    with pytest.raises(ValueError, match='"all"'):
        vm.MarketEnv(DEFAULT, learner="all")
    with pytest.raises(ValueError, match="render_mode"):
        vm.MarketEnv(DEFAULT, render_mode="rgb_array")
    with pytest.raises(ValueError, match="reset"):
        vm.MarketEnv(DEFAULT).step([0.0, 0.0])
