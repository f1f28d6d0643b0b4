"""Small environments with known dynamics, and a small configuration, for the tests of training."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space

from vecmarket.training import PPO, PPOConfig


class Clock(gym.Env):
    """Shows its clock as (t / length, how it ends), and ends after `length` steps in the way it was told."""

    def __init__(self, length: int, ending: str) -> None:
        self.length, self.ending = length, ending
        self.observation_space = Box(0.0, 1.0, (2,), np.float32)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)
        self.t = 0

    def seen(self, t: int) -> np.ndarray:
        return np.array([t / self.length, float(self.ending == "truncated")], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.t = 0
        return self.seen(0), {}

    def step(self, action: np.ndarray):
        reward = float(np.sin(3.0 * self.t) - 0.1 * action[0] ** 2)
        self.t += 1
        over = self.t == self.length
        flags = over and self.ending == "terminated", over and self.ending == "truncated"
        return self.seen(self.t), reward, *flags, {}


CLOCKS = ((3, "terminated"), (4, "truncated"), (5, "truncated"), (2, "terminated"), (1, "truncated"))


def clocks(mode: AutoresetMode) -> SyncVectorEnv:
    return SyncVectorEnv([lambda c=c: Clock(*c) for c in CLOCKS], autoreset_mode=mode)


class Bandit(VectorEnv):
    """Every step shows some x in [-1, 1] and pays -(a - 0.8 x)^2; episodes last four steps."""

    LENGTH = 4

    def __init__(self, num_envs: int = 64) -> None:
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = Box(-1.0, 1.0, (1,), np.float32)
        self.single_action_space = Box(-2.0, 2.0, (1,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.rng = np.random.default_rng(seed)
        self.t = 0
        return self._draw(), {}

    def step(self, actions: np.ndarray):
        error = actions[:, 0] - 0.8 * self.x[:, 0]
        rewards = -np.square(error)
        infos = {"error": np.abs(error), "_error": np.ones(self.num_envs, bool)}
        self.t = (self.t + 1) % self.LENGTH
        over = np.full(self.num_envs, self.t == 0)
        observations = self._draw()
        if over.all():
            infos |= {"final_obs": observations.copy(), "_final_obs": over}
        return observations, rewards, over, np.zeros_like(over), infos

    def _draw(self) -> np.ndarray:
        self.x = self.rng.uniform(-1.0, 1.0, (self.num_envs, 1)).astype(np.float32)
        return self.x


class KeptBandit(Bandit):
    """A bandit that can be stored and restored."""

    def snapshot(self) -> bytes:
        return pickle.dumps((self.rng, self.t, self.x))

    def restore(self, state: bytes) -> None:
        self.rng, self.t, self.x = pickle.loads(state)


SMALL = PPOConfig(
    rollout_steps=8,
    epochs=4,
    minibatches=2,
    learning_rate=1e-2,
    gamma=0.0,
    hidden=(16,),
    initial_log_std=-0.5,
)


def bandit_learner(env: VectorEnv | None = None, *, seed: int = 0, total_steps: int = 64 * 8 * 10) -> PPO:
    return PPO(env or KeptBandit(), SMALL, total_steps=total_steps, seed=seed, info_means=("error",))


def same_weights(one: Any, other: Any) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(bool((first[k] == second[k]).all()) for k in first)
