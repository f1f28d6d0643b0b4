"""Stable-Baselines3 beside our learners: its PPO as it comes, and tuned on a batch of markets.

It is in no requirement of ours, so only `bench.methods` imports this module, when it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

import vecmarket as vm
from bench.judge import Look
from bench.methods import EASY, HARD, Task
from bench.whole_job import Job
from vecmarket.evaluation import Policy

HOURS = 24
MINIBATCHES = 4
GAMMA = 0.0
ENTROPY = {EASY: 0.0, HARD: 0.01}  # what was best for each


def train_defaults(task: Task, look: Look) -> None:
    """Learn as the library comes."""
    env = DummyVecEnv([lambda: vm.MarketEnv(task.scenario, learner=task.agent)] * task.budget.num_envs)
    _learn(PPO("MlpPolicy", env, seed=task.seed, device="cpu"), task, look)


def train_tuned(task: Task, look: Look) -> None:
    """Learn in a batch of markets with settings that suit it."""
    env = VecNormalize(BatchOfMarkets(task), gamma=GAMMA)
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=HOURS,
        batch_size=HOURS * task.budget.num_envs // MINIBATCHES,
        n_epochs=4,
        learning_rate=_falling(3e-3),
        gamma=GAMMA,
        ent_coef=ENTROPY[task.agent],
        target_kl=0.03,
        seed=task.seed,
        device="cpu",
    )
    _learn(model, task, look)


def play_rounds(job: Job, look: Callable[[list[Policy]], None]) -> None:
    """Let the agents learn one at a time, each in one market; show the profile after each round."""
    agents = range(len(job.scenario.agents))
    profile: list[Policy | None] = [None] * len(agents)
    for k in range(job.rounds.rounds):
        learned: list[Policy] = []
        for agent in agents:
            rivals = [None if i == agent else other for i, other in enumerate(profile)]
            env = vm.MarketEnv(job.scenario, learner=agent, rivals=rivals)
            seed = 1000 * job.seed + len(agents) * k + agent
            model = PPO("MlpPolicy", env, seed=seed, device="cpu")
            model.learn(job.rounds.steps)
            learned.append(partial(_mean_action, model))
        profile = list(learned)
        look(learned)


def _mean_action(model: Any, observations: NDArray[np.float32]) -> NDArray[np.float32]:
    actions: NDArray[np.float32] = model.predict(observations, deterministic=True)[0]
    return actions


class BatchOfMarkets(VecEnv):  # type: ignore[misc]  # without types
    """`MarketVectorEnv` as the library's `VecEnv`."""

    def __init__(self, task: Task) -> None:
        self.env = vm.MarketVectorEnv(
            task.budget.num_envs,
            task.scenario,
            learner=task.agent,
            autoreset_mode="same_step",
            threads=task.threads,
        )
        super().__init__(self.env.num_envs, self.env.single_observation_space, self.env.single_action_space)
        self._nothing: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]

    def reset(self) -> NDArray[np.float32]:
        observations, _ = self.env.reset(seed=list(self._seeds))
        self._reset_seeds()
        return observations

    def step_async(self, actions: NDArray[np.float32]) -> None:
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, infos = self.env.step(self._actions)
        done = terminated | truncated
        told = self._nothing
        if done.any():
            cut = truncated & ~terminated
            told = [
                {"terminal_observation": last, "TimeLimit.truncated": bool(short)} if over else {}
                for over, short, last in zip(done, cut, infos["final_obs"], strict=True)
            ]
        return observations, rewards, done, told

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the markets of a batch share their attributes")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("the markets of a batch are no environments of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> Sequence[bool]:
        return [False for _ in self._get_indices(indices)]


class _AfterUpdates(BaseCallback):  # type: ignore[misc]  # without types
    """Shows the policy after every update: the next rollout begins then, or training ends."""

    def __init__(self, show: Callable[[], None]) -> None:
        super().__init__()
        self._show = show

    def _on_rollout_start(self) -> None:
        if self.num_timesteps > 0:
            self._show()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._show()


def _learn(model: Any, task: Task, look: Look) -> None:
    scale = model.get_vec_normalize_env()

    def policy(observations: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = observations if scale is None else scale.normalize_obs(observations)
        return _mean_action(model, seen)

    model.learn(task.budget.total_steps, callback=_AfterUpdates(lambda: look(policy)))


def _falling(start: float) -> Callable[[float], float]:
    """Return the schedule that falls evenly to 0; the library hands it the share of the run that remains."""
    return lambda remaining: start * remaining
