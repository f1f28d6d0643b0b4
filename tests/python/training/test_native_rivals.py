"""The native backend among rivals that the engine plays: the same rivals as in single steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from policies.nets import draw
from vecmarket.training import ActorCritic
from vecmarket.training.native_collector import NativeCollector


def make_env(rivals: Any) -> vm.MarketVectorEnv:
    return vm.MarketVectorEnv(
        130, vm.Scenario.default(horizon=7), rivals=rivals, autoreset_mode="same_step", copy=False
    )


POLICIES = [draw(7, (9, 5), seed=seed) for seed in range(3)]
RIVALS = {
    "policy": POLICIES[0],
    "sampled": POLICIES[0].stochastic(),
    "pool": vm.PolicyPool([POLICIES[1], POLICIES[2].stochastic(), 5.0, "truthful"]),
    "mixed": {1: POLICIES[0], 2: vm.PolicyPool([POLICIES[1], 3.0]), 3: 2.0},
}


@pytest.mark.parametrize("rivals", RIVALS.values(), ids=RIVALS)
def test_a_rollout_meets_the_rivals_of_single_steps(rivals: Any) -> None:
    env, same = make_env(rivals), make_env(rivals)
    env.reset(seed=3)
    same.reset(seed=3)
    model = ActorCritic(env.single_observation_space, env.single_action_space, hidden=(8,))
    collect = NativeCollector(env, model, 9, seed=2)
    for _ in range(2):  # past the ends of episodes
        record = collect()
        for t in range(9):
            _, rewards, terminated, *_ = same.step(record["actions"][:, t])
            np.testing.assert_array_equal(rewards, record["rewards"][:, t])
            np.testing.assert_array_equal(terminated, record["terminated"][:, t])
    np.testing.assert_array_equal(env.engine.dispatch, same.engine.dispatch)
