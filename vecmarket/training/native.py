"""PPO with everything in the core: the market, the policies' networks, the rollout and the update.

One iteration is what it is in `vecmarket.training.ppo`, which is the reference for every formula, and the
settings are the same. What differs is where it runs: `vecmarket._core.Trainer` plays the steps, estimates
advantages and takes the gradient steps without the interpreter, in single precision, with its own keyed
randomness. Results do not depend on the number of threads. A learner's state can be taken over from one
backend by the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from vecmarket import _core
from vecmarket.checks import check_kind, unfit_state, whole_number
from vecmarket.training.config import PPOConfig
from vecmarket.training.native_state import (
    State,
    adam_arrays,
    learner_state,
    moments_state,
    observation_moments,
    pack,
    reward_moments,
    unpack,
)
from vecmarket.training.policy import ActorCritic
from vecmarket.training.ppo import check_left, learning_rate, log_std, new_model
from vecmarket.training.seeding import stream_seed

__all__ = ["NativePPO", "iterate_together"]

_FIGURES = tuple(_core.training_figures())


class NativePPO:
    """A PPO learner, or one for each agent, bound to a market environment and trained in the core.

    Parameters
    ----------
    env
        A `MarketVectorEnv`, or another environment over an engine, with ``autoreset_mode="same_step"`` and
        rivals that are all played by the engine.
    config
        Settings of the algorithm.
    total_steps
        Agent steps (rows times steps) in the whole run; rounded up to whole iterations.
    seed
        Seed of the run: weights, actions, minibatches and environments get streams of their own from it. With
        one policy per agent, one seed for each; the first is also that of the environments.
    threads
        Threads that share an update, 0 for all cores; those of the rollout are the environment's own. They
        never change a result.
    per_agent
        Where several agents learn: one policy for each, instead of one that all share.

    Raises
    ------
    ValueError
        When the environment or `total_steps` cannot be used; the message says why.
    TypeError
        When the environment is no `MarketVectorEnv`, or `total_steps` no whole number.
    """

    def __init__(
        self,
        env: EngineEnv,
        config: PPOConfig,
        *,
        total_steps: int,
        seed: int | Sequence[int] = 0,
        threads: int = 1,
        per_agent: bool = False,
    ) -> None:
        total_steps = whole_number("total_steps", total_steps, least=1)
        check_env(env, per_agent)
        self.env = env
        self.config = config
        self._seeds = _seeds(seed, len(env.engine.acting) if per_agent else 1)
        self.seed = self._seeds[0]
        self.num_envs = env.num_envs
        self.steps_per_iteration = config.rollout_steps * self.num_envs
        self.total_iterations = -(-total_steps // self.steps_per_iteration)
        self.iteration = 0
        self.started = False
        self._models = tuple(
            new_model(env.single_observation_space, env.single_action_space, config, one)
            for one in self._seeds
        )
        keys = [(stream_seed(one, "actions"), stream_seed(one, "minibatches")) for one in self._seeds]
        self._trainer = _core.Trainer(env.engine, config, keys, threads=threads)
        for i, model in enumerate(self._models):
            self._give(i, model)

    @property
    def steps(self) -> int:
        """Agent steps taken so far."""
        return self.iteration * self.steps_per_iteration

    @property
    def finished(self) -> bool:
        """Whether the run has taken all its iterations."""
        return self.iteration >= self.total_iterations

    @property
    def model(self) -> ActorCritic:
        """The learner's networks as they are now; the first agent's where there is one per agent."""
        return self.models[0]

    @property
    def models(self) -> tuple[ActorCritic, ...]:
        """The networks of every learner as they are now."""
        for i, model in enumerate(self._models):
            parameters, _, _, _ = self._trainer.learner(i)
            unpack(parameters, model)
            centre, scale = self._trainer.scale(i)
            model.centre.copy_(torch.from_numpy(centre))
            model.scale.copy_(torch.from_numpy(scale))
        return self._models

    def iterate(self) -> dict[str, float]:
        """Play one rollout and learn from it; return the figures by name, means over the learners.

        Raises
        ------
        ValueError
            When the run has taken all its iterations.
        """
        check_left(self.iteration, self.total_iterations)
        (figures,) = iterate_together([self], 1)
        return figures

    def record(self) -> dict[str, NDArray[Any]]:
        """Return what happened in the last iteration, copied.

        M rows, row = market * agents + agent where all agents learn, and T steps: ``observations`` (M, T, F),
        ``actions`` (M, T, 2) as drawn, before they are cut to their bounds, ``log_probs``, ``values``,
        ``last_values`` (those of the true last observations of truncated episodes, else 0), ``rewards`` and
        ``advantages`` (M, T), all float32, ``terminated`` and ``truncated`` (M, T) bool, and ``next_values``
        (M,), of the observations after the last step.
        """
        return self._trainer.record()

    def start(self) -> None:
        """Reset the environments from the run's seed, once."""
        if not self.started:
            self.env.reset(seed=stream_seed(self.seed, "environments"))
            self.started = True

    def schedule(self, iterations: int) -> list[tuple[float, float | None]]:
        """Return the `schedule` of the coming iterations."""
        return [schedule(self.config, self.iteration + i, self.total_iterations) for i in range(iterations)]

    def start_from(self, models: Sequence[ActorCritic]) -> None:
        """Take the weights of other networks of the same shape; the optimisers start anew.

        Raises
        ------
        ValueError
            When there is not one for each learner, or one has another shape.
        """
        if len(models) != len(self._models):
            raise ValueError(f"models: must be one per learner, {len(self._models)}, got {len(models)}")
        for i, (own, given) in enumerate(zip(self._models, models, strict=True)):
            try:
                own.load_state_dict(given.state_dict())
            except RuntimeError as error:
                raise ValueError(f"models[{i}]: has another shape than the settings: {error}") from error
            self._give(i, own)

    def state(self) -> State:
        """Return a copy of everything that the coming iterations depend on, as plain values and tensors.

        A `vecmarket.training.PPO` can go on from it where there is one learner. It then draws its own noise.
        """
        progress = self._trainer.progress()
        parts = [
            learner_state(model, self._trainer.learner(i), seen, self.config)
            for i, (model, seen) in enumerate(zip(self.models, progress["seen"], strict=True))
        ]
        scales = [moments_state(scale) for scale in progress["scales"]]
        others = zip(parts[1:], scales[1:], strict=True)
        return {
            "iteration": self.iteration,
            **parts[0],
            "action_noise": None,
            "shuffle": None,
            "reward_scale": {"running": torch.from_numpy(progress["discounted"]), **scales[0]},
            "environment": self._environment(progress) if self.started else None,
            "others": [{**part, "reward_scale": scale} for part, scale in others],
        }

    def restore(self, state: State) -> None:
        """Go on from a `state` of a learner with the same settings on a like environment, of either backend.

        After a native state the coming iterations are bit for bit those of that learner.

        Raises
        ------
        ValueError
            When the state does not fit; the learner should not be used further.
        """
        try:
            parts = [state, *state.get("others", [])]
            if len(parts) != len(self._models):
                raise ValueError(f"it has {len(parts)} learners, this one has {len(self._models)}")
            for i, (part, model) in enumerate(zip(parts, self._models, strict=True)):
                model.load_state_dict(part["model"])
                self._give(i, model)
                self._trainer.set_moments(i, *adam_arrays(model, part["optimiser"]))
            features = self._models[0].centre.numel() if self.config.normalise_observations else 0
            iteration, environment = int(state["iteration"]), state["environment"]
            episodes = None if environment is None else environment["episodes"]
            rows = self.num_envs
            self._trainer.set_progress(
                {
                    "iteration": iteration,
                    "returns": [0.0] * rows if episodes is None else episodes["returns"].flatten().tolist(),
                    "lengths": [0] * rows if episodes is None else episodes["lengths"].flatten().tolist(),
                    "discounted": state["reward_scale"]["running"].cpu().tolist(),
                    "scales": [reward_moments(part) for part in parts],
                    "seen": [observation_moments(part, features) for part in parts],
                }
            )
            if environment is not None:
                self.env.restore(environment["env"].cpu().numpy().tobytes())
            self.iteration, self.started = iteration, environment is not None
        except (AttributeError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise unfit_state("learner", error) from error

    def _environment(self, progress: State) -> State:
        """Return where the environments stand, as a `vecmarket.training.collector.Collector` would."""
        observations = np.array(self.env.engine.observations).reshape(self.num_envs, -1)
        return {
            "episodes": {
                "returns": torch.from_numpy(progress["returns"]),
                "lengths": torch.from_numpy(progress["lengths"].astype(np.int64)),
            },
            "ended": torch.zeros(self.num_envs, dtype=torch.bool),
            "observations": torch.from_numpy(observations),
            "env": torch.frombuffer(bytearray(self.env.snapshot()), dtype=torch.uint8),
        }

    def _figures(
        self, reports: Sequence[Sequence[float]], course: tuple[float, float | None]
    ) -> dict[str, float]:
        """Return an iteration's figures by name, means over the learners."""
        mean = np.mean(np.asarray(reports), axis=0)
        log_std = np.stack([self._trainer.learner(i)[0][:2] for i in range(len(self._models))])
        return dict(zip(_FIGURES, mean.tolist(), strict=True)) | {
            "entropy": float((log_std + 0.5 + 0.5 * math.log(2 * math.pi)).sum(axis=1).mean()),
            "policy_std": float(np.exp(log_std).mean()),
            "learning_rate": course[0],
        }

    def _give(self, learner: int, model: ActorCritic) -> None:
        """Hand the weights and the map of observations to the core."""
        self._trainer.set_parameters(learner, pack([p.detach() for p in model.parameters()]))
        self._trainer.set_scale(learner, model.centre.numpy(), model.scale.numpy())
        self._trainer.set_bounds(learner, model.action_low.numpy(), model.action_high.numpy())


def iterate_together(
    learners: Sequence[NativePPO], iterations: int, *, threads: int = 1
) -> list[dict[str, float]]:
    """Train learners of the same settings, each in its own environment, as one job.

    Parameters
    ----------
    learners
        Learners, each with an environment of its own.
    iterations
        Iterations to take, at least one.
    threads
        Threads that take turns with the learners, 0 for all cores; with one learner, its own are used. What
        comes out is to the bit what each learner would have come to alone.

    Returns
    -------
    list of dict
        The figures of every learner's last iteration.

    Raises
    ------
    ValueError
        When the learners do not go together, there are none, or one has fewer iterations left; nothing is
        changed then.
    TypeError
        When `iterations` is no whole number, or there is something else than learners of this kind.
    """
    iterations = whole_number("iterations", iterations, least=1)
    if not isinstance(learners, Sequence):
        raise TypeError(f"learners: must be a sequence of NativePPO, got {type(learners).__name__}")
    if not learners:
        raise ValueError("learners: must name at least one")
    for i, learner in enumerate(learners):
        check_kind(f"learners[{i}]", learner, NativePPO)
    first = learners[0]
    places: dict[int, int] = {}  # of learners, by their engines
    for i, learner in enumerate(learners):
        if learner.config != first.config:
            raise ValueError(f"learners[{i}]: must have the settings of learners[0]")
        check_left(learner.iteration, learner.total_iterations, iterations, f"learners[{i}]")
        other = places.setdefault(id(learner.env.engine), i)
        if other != i:
            same = "is" if learner is learners[other] else "has the environment of"
            raise ValueError(f"learners[{i}]: {same} learners[{other}]; each needs an environment of its own")
    for learner in learners:
        learner.start()
    trainers, engines = [one._trainer for one in learners], [one.env.engine for one in learners]
    courses = [learner.schedule(iterations) for learner in learners]
    reports = _core.train(trainers, engines, first.config, courses, threads=threads)
    figures = []
    for learner, of, course in zip(learners, reports, courses, strict=True):
        learner.iteration += iterations
        learner.env.refresh()
        figures.append(learner._figures(of[-1], course[-1]))
    return figures


def schedule(config: PPOConfig, iteration: int, total: int) -> tuple[float, float | None]:
    """Return an iteration's learning rate and log standard deviation, None where that is learned."""
    return learning_rate(config, iteration, total), log_std(config, iteration, total)


def _seeds(seed: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Return one seed per policy."""
    if isinstance(seed, Sequence):
        if len(seed) != count:
            raise ValueError(f"seed: must be one per policy, {count}, got {len(seed)}")
        return tuple(seed)
    return tuple(seed + i for i in range(count))


class EngineEnv(Protocol):
    """A vector environment over an engine, whose rows are its acting agents: row = market * L + agent."""

    num_envs: int
    metadata: dict[str, Any]
    single_observation_space: Any
    single_action_space: Any

    @property
    def engine(self) -> _core.Engine:
        """The engine that plays it."""

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        """Start new episodes."""

    def snapshot(self) -> bytes:
        """Return all that the next steps depend on."""

    def restore(self, state: bytes) -> None:
        """Go on from a snapshot."""

    def refresh(self) -> None:
        """Bring arrays up to date after the engine was stepped by somebody else."""


def check_env(env: EngineEnv, per_agent: bool) -> None:
    """Refuse an environment that cannot be played without the interpreter."""
    if not isinstance(getattr(env, "engine", None), _core.Engine):
        raise TypeError(f"env: the native backend takes a MarketVectorEnv, got {type(env).__name__}")
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(f'env: the native backend needs autoreset_mode="same_step", got {mode}')
    acting = len(env.engine.acting)
    if env.num_envs != env.engine.num_envs * acting:
        raise ValueError("env: the native backend needs rivals that the engine plays; a rival is a callable")
    if per_agent and acting < 2:
        raise ValueError("env: one policy per agent needs several agents that learn, got one")
