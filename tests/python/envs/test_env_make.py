"""`gymnasium.make` and `make_vec` in all modes, specs that rebuild, and Gymnasium's environment checker."""

from __future__ import annotations

import importlib
import pickle
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from env_parity import DEFAULT, DRAWN, SAME, WINDOWS, assert_same_reset, play_both
from gymnasium.utils.env_checker import check_env

import vecmarket as vm
from vecmarket.envs import ENV_ID, register_envs

N = 3


def test_registered_once_and_quietly() -> None:
    before = gym.registry[ENV_ID]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_envs()
        importlib.reload(importlib.import_module("vecmarket.envs"))
        register_envs()
    assert gym.registry[ENV_ID] is before


def test_make() -> None:
    env = gym.make(ENV_ID)
    assert isinstance(env.unwrapped, vm.MarketEnv)
    assert env.unwrapped.scenario == vm.Scenario.default()
    limited = gym.make(ENV_ID, scenario=DEFAULT, learner=1, rivals=3.0, max_episode_steps=2)
    limited.reset(seed=0)
    limited.step(np.zeros(2, np.float32))
    assert limited.step(np.zeros(2, np.float32))[2:4] == (False, True)


def test_make_orders_reset_before_step() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        gym.make(ENV_ID).step(np.zeros(2, np.float32))


@pytest.mark.parametrize("scenario", [DEFAULT, WINDOWS, DRAWN], ids=lambda s: s.name)
@pytest.mark.parametrize("learner", [0, 2])
def test_check_env(scenario: vm.Scenario, learner: int) -> None:
    """Gymnasium's own checker; its one piece of advice is that action spaces be [-1, 1]."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*symmetric and normalized space.*")
        check_env(gym.make(ENV_ID, scenario=scenario, learner=learner).unwrapped)
        # Without a spec the checker cannot make the environment again in other render modes.
        warnings.filterwarnings("ignore", message=".*alternative render modes.*")
        check_env(vm.MarketEnv(scenario, learner=learner))


MODES: dict[str, dict[str, Any]] = {
    "sync": {},
    "vector_entry_point": {"threads": 1},
    "async": {},
}


@pytest.mark.parametrize("mode", MODES)
def test_make_vec(mode: str) -> None:
    """The same market in every mode, a time limit included, and again from the spec."""
    options: dict[str, Any] = {"scenario": WINDOWS, "learner": "G2", "rivals": {"G0": 8.0}}
    made = gym.make_vec(
        ENV_ID, num_envs=N, vectorization_mode=mode, max_episode_steps=7, **options, **MODES[mode]
    )
    try:
        again = gym.make_vec(made.spec)
        try:
            for env in (made, again):
                assert type(env).__name__ == type(made).__name__
                ours = vm.MarketVectorEnv(N, max_episode_steps=7, **options)
                assert_same_reset(ours.reset(seed=4), env.reset(seed=4))
                if mode == "vector_entry_point":
                    assert isinstance(env, vm.MarketVectorEnv)
                    np.testing.assert_array_equal(
                        ours.step(np.zeros((N, 2)))[1], env.step(np.zeros((N, 2)))[1]
                    )
                else:
                    assert play_both(ours, env, 20) >= 2 * N
        finally:
            again.close()
    finally:
        made.close()


def test_make_vec_takes_our_own_unless_told() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make_vec(ENV_ID, num_envs=N, autoreset_mode="same_step")
    assert isinstance(env, vm.MarketVectorEnv)
    assert env.autoreset_mode is SAME
    assert env.num_envs == N


def test_make_vec_same_step_in_sync_mode() -> None:
    """Wrappers of the single environment and the vectoriser's own options work, too."""
    theirs = gym.make_vec(
        ENV_ID,
        num_envs=N,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": SAME},
        scenario=DEFAULT,
    )
    ours = vm.MarketVectorEnv(N, DEFAULT, autoreset_mode=SAME)
    assert_same_reset(ours.reset(seed=4), theirs.reset(seed=4))
    assert play_both(ours, theirs, 20) == 3 * N


def test_spec_rebuilds_the_same_env() -> None:
    env = gym.make_vec(
        ENV_ID,
        num_envs=2,
        scenario=DRAWN,
        learner="all",
        autoreset_mode="same_step",
        max_episode_steps=3,
        copy=False,
    )
    for spec in (env.spec, pickle.loads(pickle.dumps(env.spec))):
        again = gym.make_vec(spec)
        assert isinstance(again, vm.MarketVectorEnv)
        assert again.scenario == DRAWN
        assert (again.num_envs, again.learner, again.autoreset_mode, again.copy) == (6, "all", SAME, False)
        assert again.spec == env.spec
        assert_same_reset(again.reset(seed=8), env.reset(seed=8))
        for _ in range(7):
            for a, b in zip(again.step(np.zeros((6, 2)))[:4], env.step(np.zeros((6, 2)))[:4], strict=True):
                np.testing.assert_array_equal(a, b)


def test_spec_of_plain_options_survives_json() -> None:
    env = gym.make_vec(ENV_ID, num_envs=2, scenario="competitive", learner=3, rivals=1.5)
    again = gym.make_vec(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, vm.MarketVectorEnv)
    assert again.scenario == vm.Scenario.competitive()
    assert (again.num_envs, again.learner, again.rivals) == (2, 3, 1.5)


def test_spec_of_a_scenario_of_ones_own_does_not_survive_json() -> None:
    """Gymnasium writes any dataclass as a plain dictionary; what comes back is refused by name."""
    env = gym.make_vec(ENV_ID, scenario=DEFAULT)
    with pytest.raises(TypeError, match="scenario: must be a Scenario"):
        gym.make_vec(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))


def test_no_time_limit() -> None:
    """Gymnasium writes "none" as -1, too."""
    env = gym.make_vec(ENV_ID, num_envs=2, scenario=DEFAULT, max_episode_steps=-1)
    env.reset(seed=0)
    flags = [env.step(np.zeros((2, 2)))[2:4] for _ in range(DEFAULT.horizon)]
    assert not any(truncated.any() for _, truncated in flags)
    assert flags[-1][0].all()
