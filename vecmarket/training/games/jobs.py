"""Training jobs: one agent learns against rivals that stand still. Jobs of a list do not touch each other.

With the native backend all jobs of a list train together, an iteration of each in turn on as many threads as
there are; with torch one after another. Either way the results of a list are those of its jobs trained alone,
to the bit, so whoever hands in jobs need not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

from vecmarket.config import Scenario
from vecmarket.envs import MarketVectorEnv
from vecmarket.scenarios.days import training_days
from vecmarket.training.config import TrainConfig
from vecmarket.training.games.strategies import Pool, Strategy, frozen, still
from vecmarket.training.native import NativePPO, iterate_together
from vecmarket.training.policy import ActorCritic
from vecmarket.training.ppo import PPO

__all__ = ["Job", "TrainingJobs", "action_space", "train_jobs"]


Learner: TypeAlias = "PPO | NativePPO"


@dataclass(frozen=True)
class Job:
    """One agent's training against rivals that stand still.

    Attributes
    ----------
    agent
        Place of the agent that learns.
    rivals
        How every agent bids, by place, A of them; the learner's own entry has no meaning.
    seed
        Seed of the job: weights, actions, minibatches, environments, draws from pools.
    steps
        Steps of the learner over all environments; rounded up to whole iterations.
    start_from
        Policy whose weights the training starts from; new ones when None. The spread of the policy starts as
        the settings say in either case.
    first_action
        Mean action that new weights begin with, in every state: withheld share, price parameter. Those of
        `start_from`, or about 0, when None.
    """

    agent: int
    rivals: tuple[Strategy | Pool, ...]
    seed: int
    steps: int
    start_from: ActorCritic | None = None
    first_action: tuple[float, float] | None = None


class TrainingJobs:
    """A list of jobs in training.

    Parameters
    ----------
    jobs
        What to train.
    scenario
        The market game, whole: its held-out days are left out here.
    config
        Environments, algorithm, device. Its scenario, learner, rivals, seed and steps are not used.
    withholding
        Whether the learners may withhold capacity.

    Raises
    ------
    ValueError, TypeError
        When a job names no place of the scenario, or has not one strategy per agent.
    """

    def __init__(
        self, jobs: Sequence[Job], scenario: Scenario, config: TrainConfig, *, withholding: bool = True
    ) -> None:
        days = training_days(scenario)
        self.action_space = action_space(withholding)
        self.jobs = tuple(jobs)
        for i, job in enumerate(self.jobs):
            _check(f"jobs[{i}]", job, scenario)
        self.scenario = scenario if days is None else scenario.replace(days=days)
        self.config = config
        self._together = config.backend == "native"
        self._done: list[ActorCritic] = []
        self._learners: list[Learner] = []  # in training now

    @property
    def finished(self) -> bool:
        """Whether all jobs are trained."""
        return len(self._done) == len(self.jobs)

    @property
    def current(self) -> tuple[Job, ...]:
        """The jobs in training; none when all are done."""
        return self.jobs[len(self._done) :][: None if self._together else 1]

    @property
    def steps(self) -> int:
        """Learner steps so far, over all jobs."""
        done = sum(map(self._rounded, self.jobs[: len(self._done)]))
        return done + sum(learner.steps for learner in self._learners)

    @property
    def total_steps(self) -> int:
        """Learner steps of all jobs."""
        return sum(map(self._rounded, self.jobs))

    @property
    def policies(self) -> tuple[ActorCritic, ...]:
        """The policies of the jobs that are done, on the CPU, in the order of the jobs."""
        return tuple(self._done)

    def iterate(self) -> dict[str, float]:
        """Play and learn from one rollout of the jobs in training; return the means of their figures.

        Raises
        ------
        ValueError
            When all jobs are trained.
        """
        if self.finished:
            raise ValueError(f"iterate: all {len(self.jobs)} jobs are trained")
        if not self._learners:
            self._learners = [self._begin(job) for job in self.current]
        # jobs that are shorter than the longest end before it
        active = [learner for learner in self._learners if not learner.finished]
        figures = _iterate(active, self.config.engine_threads)
        if all(learner.finished for learner in self._learners):
            self._done += [still(learner.model) for learner in self._learners]
            self._learners = []
        return {name: float(np.mean([of[name] for of in figures])) for name in figures[0]}

    def state(self) -> dict[str, Any]:
        """Return all that the coming iterations depend on, beside the jobs; a copy."""
        return {
            "done": [dict(model.state_dict()) for model in self._done],
            "learners": [learner.state() for learner in self._learners],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of the same jobs, bit for bit.

        Raises
        ------
        ValueError
            When the state does not fit these jobs.
        """
        if len(state["done"]) > len(self.jobs):
            raise ValueError(f"state: has {len(state['done'])} jobs done, of {len(self.jobs)}")
        self._done, self._learners = [], []
        for job, weights in zip(self.jobs, state["done"], strict=False):
            model = self._begin(job).model
            model.load_state_dict(weights)
            self._done.append(still(model))
        if state["learners"]:
            self._learners = [self._begin(job) for job in self.current]
            if len(state["learners"]) != len(self._learners):
                raise ValueError(f"state: has {len(state['learners'])} jobs in training")
            for learner, own in zip(self._learners, state["learners"], strict=True):
                learner.restore(own)

    def _begin(self, job: Job) -> Learner:
        config = self.config
        rivals: list[Any] = [frozen(rival) for rival in job.rivals]
        rivals[job.agent] = None
        env = MarketVectorEnv(
            config.num_envs,
            self.scenario,
            learner=job.agent,
            rivals=rivals,
            autoreset_mode="same_step",
            copy=False,
            threads=1 if self._together and len(self.jobs) > 1 else config.engine_threads,
        )
        env.single_action_space = self.action_space  # learners take their bounds from it
        env.action_space = batch_space(self.action_space, env.num_envs)
        learner: Learner
        if self._together:
            threads = 1 if len(self.jobs) > 1 else config.engine_threads
            learner = NativePPO(env, config.ppo, total_steps=job.steps, seed=job.seed, threads=threads)
        else:
            learner = PPO(
                env,
                config.ppo,
                total_steps=job.steps,
                seed=job.seed,
                device=config.device,
                info_means=("profit", "price"),
            )
        if job.start_from is None and job.first_action is None:
            return learner
        model = learner.model
        if job.start_from is not None:
            start_from(model, job.start_from)
        if job.first_action is not None:
            head = model.actor[-1]
            assert isinstance(head, torch.nn.Linear)
            with torch.no_grad():
                head.bias.copy_(torch.tensor(job.first_action))
        if isinstance(learner, NativePPO):
            learner.start_from([model])
        return learner

    def _rounded(self, job: Job) -> int:
        iteration = self.config.ppo.rollout_steps * self.config.num_envs
        return -(-job.steps // iteration) * iteration


def _check(where: str, job: Job, scenario: Scenario) -> None:
    """Refuse a job that does not fit the scenario."""
    agents = len(scenario.agents)
    if isinstance(job.agent, str):
        raise TypeError(f"{where}: agent: must be a place, 0..{agents - 1}, got {job.agent!r}")
    try:
        scenario.agent_index(job.agent)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None
    if len(job.rivals) != agents:
        raise ValueError(f"{where}: rivals: must be one strategy per agent, {agents}, got {len(job.rivals)}")


def _iterate(learners: Sequence[Learner], threads: int) -> list[dict[str, float]]:
    native = [learner for learner in learners if isinstance(learner, NativePPO)]
    if native:
        return iterate_together(native, 1, threads=threads)
    return [learner.iterate() for learner in learners]


def train_jobs(
    jobs: Sequence[Job],
    scenario: Scenario,
    config: TrainConfig,
    *,
    withholding: bool = True,
    on_iteration: Callable[[TrainingJobs, dict[str, float]], None] | None = None,
) -> list[ActorCritic]:
    """Train a list of independent jobs and return their policies, in the order of the jobs.

    Each policy is the one that its job would give alone, whatever else is in the list.

    Parameters
    ----------
    jobs
        What to train.
    scenario
        The market game.
    config
        Environments, algorithm, device.
    withholding
        Whether the learners may withhold capacity.
    on_iteration
        Called after every iteration with the jobs and the iteration's figures.

    Raises
    ------
    ValueError, TypeError
        When a job does not fit the scenario; the message names it.
    """
    training = TrainingJobs(jobs, scenario, config, withholding=withholding)
    while not training.finished:
        figures = training.iterate()
        if on_iteration is not None:
            on_iteration(training, figures)
    return list(training.policies)


def action_space(withholding: bool) -> Box:
    """Return the space of a learner's action: withheld share, price parameter; the first only 0 without."""
    low, high = np.array([0.0, -10.0], np.float32), np.array([float(withholding), 10.0], np.float32)
    return Box(low, high, dtype=np.float32)


@torch.no_grad()
def start_from(model: ActorCritic, given: ActorCritic) -> None:
    """Give a model the weights and observation bounds of another, but for the spread.

    A policy that has been trained has next to no spread left, and a best response is looked for with one.

    Raises
    ------
    ValueError
        When the networks have different shapes.
    """
    weights = {**given.state_dict(), "log_std": model.log_std}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"start_from: has another shape than the settings: {error}") from error
