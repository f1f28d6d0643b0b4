"""Our two backends of PPO, as methods whose times to solution are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import vecmarket as vm
from bench.judge import Look
from bench.methods import HARD, Task
from bench.whole_job import Job
from vecmarket.evaluation import Policy
from vecmarket.training import PPO, PPOConfig, as_numpy_policy, market_ppo
from vecmarket.training.native import NativePPO, iterate_together

SEEDS_APART = 1000  # between the seeds of runs of several agents, whose learners have seeds of their own


def own_settings(agent: int | None = None) -> PPOConfig:
    """Return the settings of both of our backends, for one agent or for all at once."""
    if agent == HARD:
        return replace(market_ppo(), activation="relu", log_std_power=2.0)
    return market_ppo()


def train_native(task: Task, look: Look) -> None:
    """Learn in the core."""
    learner = NativePPO(
        _markets(task),
        own_settings(task.agent),
        total_steps=task.budget.total_steps,
        seed=task.seed,
        threads=task.threads,
    )
    while not learner.finished:
        learner.iterate()
        # The networks are copied out of the core only when the policy is asked.
        look(lambda observations: as_numpy_policy(learner.model)(observations))


def train_torch(task: Task, look: Look) -> None:
    """Learn with torch, on as many threads as it has been told."""
    learner = PPO(
        _markets(task), own_settings(task.agent), total_steps=task.budget.total_steps, seed=task.seed
    )
    policy = as_numpy_policy(learner.model)
    while not learner.finished:
        learner.iterate()
        look(policy)


def play_rounds(job: Job, look: Callable[[list[Policy]], None]) -> None:
    """Let all agents learn at once in the core, round after round; show the profile after each."""
    agents = range(len(job.scenario.agents))
    if job.rounds.together:
        play_together(job, look)
        return
    profile: list[vm.MlpPolicy | str] = ["truthful"] * len(agents)
    for k in range(job.rounds.rounds):
        learners = [
            NativePPO(
                vm.MarketVectorEnv(
                    job.rounds.num_envs,
                    job.scenario,
                    learner=agent,
                    rivals=[None if i == agent else other for i, other in enumerate(profile)],
                    autoreset_mode="same_step",
                    copy=False,
                    threads=1,
                ),
                own_settings(),
                total_steps=job.rounds.steps,
                seed=SEEDS_APART * job.seed + len(agents) * k + agent,
            )
            for agent in agents
        ]
        iterate_together(learners, learners[0].total_iterations, threads=job.threads)
        frozen = [vm.MlpPolicy.from_torch(learner.model) for learner in learners]
        profile = list(frozen)
        look(list(frozen))


def play_together(job: Job, look: Callable[[list[Policy]], None]) -> None:
    """Let all agents learn at once in the same markets, a policy each; show them on the way."""
    agents = len(job.scenario.agents)
    env = vm.MarketVectorEnv(
        job.rounds.num_envs,
        job.scenario,
        learner="all",
        autoreset_mode="same_step",
        copy=False,
        threads=job.threads,
    )
    learner = NativePPO(
        env,
        own_settings(),
        total_steps=job.rounds.rounds * job.rounds.steps * agents,
        seed=[SEEDS_APART * job.seed + agent for agent in range(agents)],
        threads=job.threads,
        per_agent=True,
    )
    for k in range(job.rounds.rounds):
        until = learner.total_iterations * (k + 1) // job.rounds.rounds
        iterate_together([learner], until - learner.iteration)
        look([vm.MlpPolicy.from_torch(model) for model in learner.models])


def _markets(task: Task) -> vm.MarketVectorEnv:
    return vm.MarketVectorEnv(
        task.budget.num_envs,
        task.scenario,
        learner=task.agent,
        autoreset_mode="same_step",
        copy=False,
        threads=task.threads,
    )
