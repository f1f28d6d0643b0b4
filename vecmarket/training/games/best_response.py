"""Best responses in turn, all at once, or to mixtures of the past.

In every round each agent that is asked trains a policy against the others as they stand. What it learned is a
candidate: it is played on fixed episodes beside the agent's present strategy, against the same others, and
the difference in mean profit is its gain. With ``accept="better"`` an agent without a telling gain keeps its
strategy. Without that rule an agent that cannot earn anything wanders among the offers that all earn nothing,
and the others with it.

============  ============================================================================================
iterated      Gauss-Seidel: one agent after another, each against the newest strategies of the others
simultaneous  Jacobi: all agents of a round against the profile of the round before; one list of jobs
fictitious    likewise, against mixtures: each rival is drawn per market and episode from all strategies
              that it has had at the end of a round, the initial one included
============  ============================================================================================
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from vecmarket.checks import unfit_state
from vecmarket.config import Scenario
from vecmarket.training.games.config import BEST_RESPONSE, GameRun
from vecmarket.training.games.draws import job_seed, updates
from vecmarket.training.games.episodes import FixedEpisodes
from vecmarket.training.games.jobs import Job, TrainingJobs
from vecmarket.training.games.players import Row, learning_agents, profile_rows, starting_profile
from vecmarket.training.games.strategies import Pool, Strategy, pack, unpack
from vecmarket.training.policy import ActorCritic

__all__ = ["BestResponse"]


class BestResponse:
    """Iterated, simultaneous or fictitious best response; `run.game.game` says which.

    Parameters
    ----------
    run
        Settings.
    scenario
        The market game, whole.

    Attributes
    ----------
    strategies
        How every agent bids now, by place.
    pools
        Fictitious play: the strategies that each learning agent has had, by its place, newest last.
    round
        Rounds that are over.
    rows
        One row per round and learning agent; see `profile_rows`.

    Raises
    ------
    ValueError
        When the settings do not fit the scenario.
    """

    def __init__(self, run: GameRun, scenario: Scenario) -> None:
        if run.game.game not in BEST_RESPONSE:
            raise ValueError(f"game: must be one of {', '.join(BEST_RESPONSE)}, got {run.game.game!r}")
        game, threads = run.game, run.train.engine_threads
        self.run = run
        self.scenario = scenario
        self.agents = learning_agents(scenario, game)
        self.strategies: list[Strategy] = starting_profile(scenario, run)
        self.pools: dict[int, list[Strategy]] = {}
        if game.game == "fictitious":
            self.pools = {agent: [self.strategies[agent]] for agent in self.agents}
        self.round = 0
        self.rows: list[Row] = []
        self._for_gains = FixedEpisodes.of_training(scenario, game.episodes, threads)
        self._for_rounds = FixedEpisodes.of_evaluation(scenario, game.episodes, threads)
        self._gains: dict[int, float] = {}  # of this round, by agent
        self._changed: set[int] = set()
        self._calm = 0  # rounds in a row without an improvement
        self._asked: set[int] = set()  # agents asked since the last improvement
        self._turn = 0
        self._steps = 0  # of turns that are over
        self._turns = self._plan()
        self._training: TrainingJobs | None = None

    @property
    def finished(self) -> bool:
        """Whether the last round is over, or the game has settled."""
        return self.round >= self.run.game.rounds or self.settled

    @property
    def settled(self) -> bool:
        """Whether nobody improved for as many rounds as patience says, everybody having been asked."""
        patience = self.run.game.patience
        return 0 < patience <= self._calm and self._asked.issuperset(self.agents)

    @property
    def steps(self) -> int:
        """Steps of all learners so far."""
        return self._steps + (0 if self._training is None else self._training.steps)

    @property
    def training(self) -> str:
        """Names of the agents in training."""
        if self._training is None:
            return ""
        agents = dict.fromkeys(job.agent for job in self._training.current)
        return ", ".join(self.scenario.agents[agent] for agent in agents)

    @property
    def profile(self) -> list[Strategy | Pool]:
        """What every agent is expected to play: in fictitious play the mixtures, else the strategies."""
        return [
            Pool(tuple(self.pools[place])) if place in self.pools else strategy
            for place, strategy in enumerate(self.strategies)
        ]

    def iterate(self) -> dict[str, float]:
        """Take one iteration of training, and what follows where it was the last of a turn or a round.

        Returns the iteration's figures by name; none where a round passed in which nobody was asked.

        Raises
        ------
        ValueError
            When the game is over.
        """
        if self.finished:
            over = "nobody improves any more" if self.settled else "all its rounds are played"
            raise ValueError(f"iterate: the game is over, {over}")
        figures: dict[str, float] = {}
        if self._turns:
            if self._training is None:
                self._training = self._begin_turn()
            figures = self._training.iterate()
            if not self._training.finished:
                return figures
            self._end_turn(self._training)
        if self._turn == len(self._turns):
            self._end_round()
        return figures

    def state(self) -> dict[str, Any]:
        """Return a copy of everything that the coming iterations depend on, as plain values and tensors."""
        pooled = [strategy for pool in self.pools.values() for strategy in pool]
        return {
            "round": self.round,
            "turn": self._turn,
            "steps": self._steps,
            "strategies": pack([*self.strategies, *pooled]),
            "pools": {agent: len(pool) for agent, pool in self.pools.items()},
            "rows": [dict(row) for row in self.rows],
            "gains": dict(self._gains),
            "changed": sorted(self._changed),
            "calm": self._calm,
            "asked": sorted(self._asked),
            "training": None if self._training is None else self._training.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of a game with the same settings, bit for bit.

        Raises
        ------
        ValueError
            When the state does not fit; the game should not be used further.
        """
        try:
            known = iter(unpack(state["strategies"]))
            self.strategies = list(itertools.islice(known, len(self.strategies)))
            self.pools = {agent: list(itertools.islice(known, n)) for agent, n in state["pools"].items()}
            self.round, self._turn = int(state["round"]), int(state["turn"])
            self._steps = int(state["steps"])
            self.rows = [dict(row) for row in state["rows"]]
            self._gains, self._changed = dict(state["gains"]), set(state["changed"])
            self._calm, self._asked = int(state["calm"]), set(state["asked"])
            self._turns = self._plan()
            self._training = None
            if state["training"] is not None:
                self._training = self._begin_turn()
                self._training.restore(state["training"])
        except (KeyError, IndexError, RuntimeError, TypeError) as error:
            raise unfit_state("game", error) from error

    def _plan(self) -> list[list[int]]:
        """Return who trains in this round: a list of agents for each turn."""
        game, seed = self.run.game, self.run.train.seed
        asked = [a for a in self.agents if updates(seed, self.round, a, game.update_probability)]
        if game.game == "iterated":
            return [[agent] for agent in asked]
        return [asked] if asked else []

    def _begin_turn(self) -> TrainingJobs:
        """Return the jobs of the turn: for each of its agents, one per start."""
        game, seed, rivals = self.run.game, self.run.train.seed, tuple(self.profile)

        def job(agent: int, k: int) -> Job:
            own = self.strategies[agent]
            return Job(
                agent,
                rivals,
                job_seed(seed, self.round, agent, k),
                game.round_steps,
                own if k == 0 and game.start == "last" and isinstance(own, ActorCritic) else None,
                (0.0, math.atanh(k / game.starts)) if k else None,
            )

        jobs = [job(agent, k) for agent in self._turns[self._turn] for k in range(game.starts)]
        return TrainingJobs(jobs, self.scenario, self.run.train, withholding=game.withholding)

    def _end_turn(self, training: TrainingJobs) -> None:
        """Measure what the turn's agents learned, and change their strategies; all of them together."""
        game, profile = self.run.game, self.profile
        now = self._for_gains.play(profile).profit  # in fictitious play, what the mixtures earn
        best: dict[int, tuple[float, Strategy]] = {}
        for job, policy in zip(training.jobs, training.policies, strict=True):
            profit = self._against(profile, job.agent, policy)
            if job.agent not in best or profit > best[job.agent][0]:
                best[job.agent] = profit, policy
        for agent, (profit, learned) in best.items():
            own = self._against(profile, agent, self.strategies[agent]) if self.pools else float(now[agent])
            if game.accept == "always" or profit - own > game.tolerance:
                self.strategies[agent] = learned
                self._changed.add(agent)
            self._gains[agent] = (max(profit, own) if self.pools else profit) - float(now[agent])
        self._steps += training.steps
        self._training = None
        self._turn += 1

    def _against(self, profile: Sequence[Strategy | Pool], agent: int, own: Strategy) -> float:
        """Return what an agent earns with a strategy of its own against the others, $/h."""
        deviating = list(profile)
        deviating[agent] = own
        return float(self._for_gains.play(deviating).profit[agent])

    def _end_round(self) -> None:
        game = self.run.game
        if any(gain > game.tolerance for gain in self._gains.values()):
            self._calm, self._asked = 0, set()
        elif self._gains:
            self._calm += 1
            self._asked |= self._gains.keys()
        for agent, pool in self.pools.items():
            pool.append(self.strategies[agent])
            if game.pool:
                del pool[: -game.pool]
        self.round += 1
        outcome = self._for_rounds.play(self.strategies)
        mixed = self._for_rounds.play(self.profile) if self.pools else None
        self.rows += profile_rows(
            self.scenario, self.agents, self.round, self.steps, outcome, self._gains, self._changed, mixed
        )
        self._gains, self._changed, self._turn = {}, set(), 0
        self._turns = self._plan()
