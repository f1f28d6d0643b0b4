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

from vecmarket.checks import unfit_state
from vecmarket.config import Scenario
from vecmarket.scenarios.days import training_days
from vecmarket.training.batched import BatchedPPO
from vecmarket.training.games.config import GameRun
from vecmarket.training.games.draws import job_seed
from vecmarket.training.games.episodes import FixedEpisodes
from vecmarket.training.games.jobs import action_space
from vecmarket.training.games.learners_env import LearnersEnv
from vecmarket.training.games.players import Row, learning_agents, profile_rows, starting_profile
from vecmarket.training.games.strategies import Pool, Strategy, pack, still, unpack
from vecmarket.training.native import NativePPO
from vecmarket.training.ppo import PPO

__all__ = ["Together"]


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
        env = LearnersEnv(
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
        # one agent alone is both
        self._each = game.game == "independent" and count > 1
        seeds = [job_seed(config.seed, 0, agent) for agent in self.agents] if self._each else []
        seed = job_seed(config.seed, 0, 0)
        common: dict[str, Any] = {"device": config.device, "info_means": ("profit", "price")}
        self._learner: PPO | BatchedPPO | NativePPO
        if config.backend == "native":
            self._learner = NativePPO(
                env,
                config.ppo,
                total_steps=steps * count,
                seed=seeds or seed,
                threads=config.engine_threads,
                per_agent=self._each,
            )
        elif self._each:
            self._learner = BatchedPPO(env, config.ppo, total_steps=steps, seeds=seeds, **common)
        else:
            self._learner = PPO(env, config.ppo, total_steps=steps * count, seed=seed, **common)

    @property
    def finished(self) -> bool:
        """Whether all rounds are over."""
        return self.round >= self.run.game.rounds

    @property
    def steps(self) -> int:
        """Steps of all learners so far."""
        each = len(self.agents) if isinstance(self._learner, BatchedPPO) else 1
        return self._learner.steps * each

    @property
    def profile(self) -> list[Strategy | Pool]:
        """What every agent is expected to play: its strategy."""
        return list(self.strategies)

    def iterate(self) -> dict[str, float]:
        """Play one rollout, let every learner learn from its rows; return the means of their figures.

        Raises
        ------
        ValueError
            When the game is over.
        """
        told = self._learner.iterate()
        if self._learner.iteration % self._per_round == 0:
            self._end_round()
        each = told if isinstance(told, list) else [told]
        return {name: float(np.mean([figures[name] for figures in each])) for name in each[0]}

    def state(self) -> dict[str, Any]:
        """Return a copy of everything that the coming iterations depend on, as plain values and tensors."""
        return {
            "round": self.round,
            "rows": [dict(row) for row in self.rows],
            "strategies": pack(self.strategies),
            "learner": self._learner.state(),
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
            self._learner.restore(state["learner"])
        except (KeyError, RuntimeError, TypeError) as error:
            raise unfit_state("game", error) from error

    def _end_round(self) -> None:
        learner = self._learner
        models = [learner.model] if isinstance(learner, PPO) else learner.models
        policies = [still(model) for model in models]
        for k, agent in enumerate(self.agents):
            self.strategies[agent] = policies[k % len(policies)]
        self.round += 1
        outcome = self._for_rounds.play(self.strategies)
        asked = dict.fromkeys(self.agents, float("nan"))
        self.rows += profile_rows(
            self.scenario, self.agents, self.round, self.steps, outcome, asked, self.agents
        )
