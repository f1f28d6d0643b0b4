"""All agents learn at once, in the same markets: a policy each, or one policy for all.

Nobody stands still here: what an agent learns from was played by others who learn too. The learning rate
and the spread of the policies fall over the whole game, so it ends after its rounds, and a round is only how
often the policies are judged and kept.

============  ============================================================================================
independent   one PPO learner per agent, each with its own networks, optimiser and randomness; every learner
              treats the others as part of the environment
shared        one PPO learner whose rollouts have a row per agent and market; agents differ by what they see
              (their cost and capacity)
============  ============================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from vecmarket.config import Scenario
from vecmarket.scenarios.days import training_days
from vecmarket.training.games.config import GameRun
from vecmarket.training.games.draws import job_seed
from vecmarket.training.games.episodes import FixedEpisodes
from vecmarket.training.games.jobs import action_space
from vecmarket.training.games.learners_env import LearnersEnv
from vecmarket.training.games.players import Row, learning_agents, profile_rows, starting_profile
from vecmarket.training.games.strategies import Pool, Strategy, pack, still, unpack
from vecmarket.training.ppo import PPO
from vecmarket.training.seeding import stream_seed

__all__ = ["Together"]

Array = NDArray[Any]


class Together:
    """Independent or shared learning; `run.game.game` says which.

    Parameters
    ----------
    run
        Settings. `rounds` times `round_steps` is the length of the game, in steps of each agent.
    scenario
        The market game, whole.

    Attributes
    ----------
    strategies, round, rows
        As those of `BestResponse`. No gain is measured: "gain" is nan in all rows.

    Raises
    ------
    ValueError
        When the settings do not fit the scenario.
    """

    settled = False

    def __init__(self, run: GameRun, scenario: Scenario) -> None:
        game, config = run.game, run.train
        if game.game not in ("independent", "shared"):
            raise ValueError(f'game: must be "independent" or "shared", got {game.game!r}')
        self.run = run
        self.scenario = scenario
        self.agents = tuple(sorted(learning_agents(scenario, game)))
        self.strategies: list[Strategy] = starting_profile(scenario, run)
        self.round = 0
        self.rows: list[Row] = []
        self.training = "all" if game.game == "shared" else "all, a policy each"
        self._for_rounds = FixedEpisodes.of_evaluation(scenario, game.episodes, config.engine_threads)

        days = training_days(scenario)
        self._env = LearnersEnv(
            config.num_envs,
            scenario if days is None else scenario.replace(days=days),
            self.agents,
            ["truthful" if place in self.agents else config.rivals for place in range(len(scenario.agents))],
            action_space(game.withholding),
            threads=config.engine_threads,
        )
        self._per_round = -(-game.round_steps // (config.ppo.rollout_steps * config.num_envs))
        steps = self._per_round * game.rounds * config.ppo.rollout_steps * config.num_envs
        count = len(self.agents)
        self._learners: list[_Member] = []
        if game.game == "shared":
            self._learners = [self._member(self._env, steps * count, job_seed(config.seed, 0, count))]
        else:
            for slot, agent in enumerate(self.agents):
                rows = _RowsOf(self._env, slot)
                self._learners.append(self._member(rows, steps, job_seed(config.seed, 0, agent)))

    @property
    def finished(self) -> bool:
        """Whether all rounds are over."""
        return self.round >= self.run.game.rounds

    @property
    def steps(self) -> int:
        """Steps of all learners so far."""
        return sum(learner.steps for learner in self._learners)

    @property
    def profile(self) -> list[Strategy | Pool]:
        """What every agent is expected to play: its strategy."""
        return list(self.strategies)

    def iterate(self) -> dict[str, float]:
        """Play one rollout, let every learner learn from its rows; return the means of their figures."""
        learners, env = self._learners, self._env
        if not learners[0].started:
            observations, _ = env.reset(seed=stream_seed(self.run.train.seed, "environments"))
            for k, learner in enumerate(learners):
                learner.begin(observations[k :: len(learners)])
        rates = [learner.prepare() for learner in learners]
        for t in range(self.run.train.ppo.rollout_steps):
            actions = np.empty((env.num_envs, 2), np.float32)
            for k, learner in enumerate(learners):
                actions[k :: len(learners)] = learner.act(t)
            played = env.step(actions)
            for k, learner in enumerate(learners):
                learner.take(t, *_rows_of(played, k, len(learners)))
        each = [
            learner.learn() | {"learning_rate": rate} for learner, rate in zip(learners, rates, strict=True)
        ]
        if learners[0].iteration % self._per_round == 0:
            self._end_round()
        return {name: float(np.mean([figures[name] for figures in each])) for name in each[0]}

    def state(self) -> dict[str, Any]:
        """Return a copy of everything that the coming iterations depend on, as plain values and tensors."""
        started = self._learners[0].started
        return {
            "round": self.round,
            "rows": [dict(row) for row in self.rows],
            "strategies": pack(self.strategies),
            "learners": [learner.state() for learner in self._learners],
            "env": torch.frombuffer(bytearray(self._env.snapshot()), dtype=torch.uint8) if started else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of a game with the same settings, bit for bit.

        Raises
        ------
        ValueError
            When the state does not fit; the game should not be used further.
        """
        try:
            self.round, self.rows = int(state["round"]), [dict(row) for row in state["rows"]]
            self.strategies = unpack(state["strategies"])
            for learner, own in zip(self._learners, state["learners"], strict=True):
                learner.restore(own)
            if state["env"] is not None:
                self._env.restore(state["env"].numpy().tobytes())
        except (KeyError, RuntimeError, TypeError) as error:
            raise ValueError(f"state: does not fit this game: {error}") from error

    def _member(self, env: VectorEnv[Array, Array, Array], steps: int, seed: int) -> _Member:
        config = self.run.train
        return _Member(
            env,
            config.ppo,
            total_steps=steps,
            seed=seed,
            device=config.device,
            info_means=("profit", "price"),
        )

    def _end_round(self) -> None:
        policies = [still(learner.model) for learner in self._learners]
        for k, agent in enumerate(self.agents):
            self.strategies[agent] = policies[k % len(policies)]
        self.round += 1
        outcome = self._for_rounds.play(self.strategies)
        asked = dict.fromkeys(self.agents, float("nan"))
        self.rows += profile_rows(
            self.scenario, self.agents, self.round, self.steps, outcome, asked, self.agents
        )


class _Member(PPO):
    """A PPO learner whose rollout is filled from outside, since others play in the same markets."""

    def begin(self, observations: Array) -> None:
        """Take the first observations, (N, F)."""
        self.rollout.observations[-1].copy_(torch.tensor(observations))
        self.started = True

    @torch.no_grad()
    def prepare(self) -> float:
        """Make ready for a rollout; return the learning rate."""
        learning_rate = self._follow_schedules()
        roll = self.rollout
        roll.observations[0].copy_(roll.observations[-1])
        roll.noise.normal_(generator=self.action_noise)
        self.episodes.clear()
        return learning_rate

    @torch.no_grad()
    def act(self, t: int) -> Array:
        """Return the actions of step `t`, (N, 2)."""
        roll = self.rollout
        mean = self.model.mean_action(roll.observations[t])
        torch.addcmul(mean, self.model.log_std.exp(), roll.noise[t], out=roll.actions[t])
        actions: Array = self.model.clip(roll.actions[t]).cpu().numpy()
        return actions

    @torch.no_grad()
    def take(
        self,
        t: int,
        observations: Array,
        rewards: Array,
        terminated: Array,
        truncated: Array,
        infos: dict[str, Any],
    ) -> None:
        """Keep what step `t` led to; arrays of this learner's rows."""
        roll = self.rollout
        roll.rewards[t].copy_(torch.tensor(rewards))
        roll.terminated[t].copy_(torch.tensor(terminated))
        roll.truncated[t].copy_(torch.tensor(truncated))
        self.episodes.add(rewards, terminated | truncated, np.ones(self.num_envs, np.bool_), infos)
        np.copyto(self.ended, terminated | truncated)
        cut = truncated & ~terminated
        if cut.any():
            self._value_last(t, infos["final_obs"], cut)
        roll.observations[t + 1].copy_(torch.tensor(observations))

    def learn(self) -> dict[str, float]:
        """Update from the rollout; return the iteration's figures."""
        figures = self.episodes.figures() | self.update(*self.advantages())
        self.iteration += 1
        return figures


class _RowsOf(VectorEnv[Array, Array, Array]):
    """The rows of one learner, for the spaces and sizes that its PPO asks for; the game itself steps."""

    def __init__(self, env: LearnersEnv, slot: int) -> None:
        self.num_envs = env.num_envs // len(env.learners)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        low, high = env.engine.observation_bounds()
        self.single_observation_space = env.space_of(low[slot], high[slot])
        self.single_action_space = env.single_action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def snapshot(self) -> bytes:
        """Return something that is not nothing: the game keeps the state of the markets."""
        return b"\0"

    def restore(self, state: bytes) -> None:
        """Do nothing: the game restores the markets."""


def _rows_of(
    played: tuple[Array, Array, Array, Array, dict[str, Any]], k: int, count: int
) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
    observations, rewards, terminated, truncated, infos = played
    own = {name: value[k::count] for name, value in infos.items()}
    return (observations[k::count], rewards[k::count], terminated[k::count], truncated[k::count], own)
