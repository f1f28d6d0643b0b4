"""The larger fleets: numba plays the same market as the environment that it is measured beside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import vecmarket as vm
from bench.baselines.fleet import fleet_of
from bench.baselines.numba_batch import NumbaBatch
from bench.fleets import HOURS, _scenarios
from bench.plan import draw_actions

ENVS = 16


@pytest.mark.parametrize("name", _scenarios())
def test_numba_plays_the_same_market(name: str) -> None:
    noisy = _scenarios()[name]
    scenario = noisy.replace(demand=replace(noisy.demand, noise=0.0))  # the two draw other noise
    env = vm.MarketVectorEnv(ENVS, scenario, learner=0, copy=False, threads=1)
    numba = NumbaBatch(fleet_of(scenario), ENVS, learner=0)
    env.reset()
    numba.reset()
    for actions in draw_actions("normal", ENVS, 1, HOURS):
        observations, rewards, terminated, _, _ = env.step(actions[:, 0])
        numba.step(actions)
        np.testing.assert_allclose(numba.prices, env.engine.prices, rtol=1e-6)
        np.testing.assert_allclose(numba.dispatch, env.engine.dispatch, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(numba.rewards[:, 0], rewards, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(numba.observations[:, 0], observations, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(numba.terminated, terminated)
    assert terminated.all()
