"""Fixed episodes on which strategies are compared: the same for every run, round and candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecmarket import _core
from vecmarket.config import Scenario
from vecmarket.scenarios.days import evaluation_days, training_days
from vecmarket.scenarios.randomness import draws_anything
from vecmarket.training.games.draws import environment_seeds
from vecmarket.training.games.strategies import Pool, Strategy, as_bid, frozen

__all__ = ["FixedEpisodes", "Outcome"]

_FOR_GAINS, _FOR_ROUNDS = 0, 1


@dataclass(frozen=True)
class Outcome:
    """What a profile came to, mean over all hours of the episodes.

    Attributes
    ----------
    profit
        Of each agent, $/h, (A,).
    dispatch
        Of each agent, MW, (A,).
    price
        Clearing price, $/MWh.
    """

    profit: NDArray[np.float64]
    dispatch: NDArray[np.float64]
    price: float


@dataclass(frozen=True)
class FixedEpisodes:
    """Episodes by their days and seeds, one environment each.

    Attributes
    ----------
    scenario
        The market game.
    days
        Day of the series on which each episode starts, (N,).
    seeds
        Environment seed of each episode, (N,).
    threads
        Threads of the engine; never change a result.
    """

    scenario: Scenario
    days: tuple[int, ...]
    seeds: tuple[int, ...]
    threads: int = 1

    @classmethod
    def of_training(cls, scenario: Scenario, episodes: int, threads: int = 1) -> FixedEpisodes:
        """Return episodes on the days that training plays: what to change to is part of learning.

        `episodes` at most: where nothing is drawn, a day is played once.
        """
        days = training_days(scenario) or evaluation_days(scenario)
        return cls._of(scenario, days, episodes, _FOR_GAINS, threads)

    @classmethod
    def of_evaluation(cls, scenario: Scenario, episodes: int, threads: int = 1) -> FixedEpisodes:
        """Return episodes on the days that training leaves out, where the scenario has such days.

        `episodes` at most: where nothing is drawn, a day is played once.
        """
        return cls._of(scenario, evaluation_days(scenario), episodes, _FOR_ROUNDS, threads)

    @classmethod
    def _of(
        cls, scenario: Scenario, days: Sequence[int], episodes: int, purpose: int, threads: int
    ) -> FixedEpisodes:
        if not draws_anything(scenario):
            episodes = min(episodes, len(days))  # a day again is the same day, and would count double
        return cls(scenario, _spread(days, episodes), environment_seeds(episodes, purpose), threads)

    def play(self, profile: Sequence[Strategy | Pool]) -> Outcome:
        """Play one strategy or mixture per agent through all episodes, policies by their mean actions."""
        scenario = self.scenario
        seats = [frozen(strategy) for strategy in profile]
        # The engine wants somebody to act: one who can do so as he is, a markup only where there is no other.
        able = [place for place, strategy in enumerate(profile) if not isinstance(strategy, Pool)]
        able.sort(key=lambda place: isinstance(profile[place], float))
        if not able:
            return self._expected(profile)
        actor = profile[able[0]]
        assert not isinstance(actor, Pool)
        bid = as_bid(scenario, actor)
        seats[able[0]] = "acts"
        engine = _core.Engine(scenario, len(self.days), threads=self.threads, seats=tuple(seats))
        observations = engine.reset(list(self.seeds), start=np.array(self.days, np.int64) * 24)
        profit, dispatch, price = np.zeros(len(profile)), np.zeros(len(profile)), 0.0
        for _ in range(scenario.horizon):
            observations = engine.step(bid(observations[:, 0])[:, np.newaxis])[0]
            profit += engine.profits.mean(axis=0)
            dispatch += engine.dispatch.mean(axis=0)
            price += float(engine.prices.mean())
        hours = scenario.horizon
        return Outcome(profit / hours, dispatch / hours, price / hours)

    def _expected(self, pools: Sequence[Strategy | Pool]) -> Outcome:
        """Play mixtures alone: the mean over the first one's members, the others drawn."""
        assert isinstance(pools[0], Pool)
        members = pools[0].members
        played = [self.play([member, *pools[1:]]) for member in members]
        return Outcome(
            np.mean([outcome.profit for outcome in played], axis=0),
            np.mean([outcome.dispatch for outcome in played], axis=0),
            float(np.mean([outcome.price for outcome in played])),
        )


def _spread(days: Sequence[int], episodes: int) -> tuple[int, ...]:
    """Return so many days, evenly over those given where there are more, in turn where there are fewer."""
    if len(days) > episodes:
        return tuple(days[i * len(days) // episodes] for i in range(episodes))
    return tuple(days[i % len(days)] for i in range(episodes))
