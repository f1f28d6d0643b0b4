"""Judge a policy: beside truthful bidding and beside the exact best reply, on the same fixed episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecmarket.checks import check_kind
from vecmarket.config import Scenario
from vecmarket.evaluation.best_reply import best_replies
from vecmarket.evaluation.offers import Grid
from vecmarket.evaluation.plays import Episodes, Play, Policy, play, truthful
from vecmarket.scenarios.days import training_days

__all__ = ["Evaluation", "Metric", "evaluate"]

TELLING_GAIN = 1e-6  # $, below which a difference between two profits is rounding


@dataclass(frozen=True)
class Metric:
    """One row of the comparison; a value is None where it is not defined."""

    key: str
    label: str
    unit: str
    truthful: float | None
    policy: float | None
    best: float | None


@dataclass(frozen=True)
class Evaluation:
    """A policy beside truthful bidding and the exact best reply, on the same episodes.

    Attributes
    ----------
    episodes
        What was played.
    truthful, policy
        The two plays, arrays (N, T).
    best_profit, best_reward
        The best reply of every hour, by profit and by reward.
    """

    episodes: Episodes
    truthful: Play
    policy: Play
    best_profit: Play
    best_reward: Play

    @property
    def learner(self) -> str:
        """Name of the learner."""
        return self.episodes.scenario.agents[self.episodes.learner]

    @property
    def held_out(self) -> bool:
        """Whether training leaves out all the days that were played."""
        train = training_days(self.episodes.scenario)
        return train is not None and not set(train) & set(self.episodes.days)

    @property
    def profit_share(self) -> float | None:
        """Share of the attainable profit gain: (policy - truthful) / (best - truthful), None without one."""
        return share_of_gain(
            self.truthful.profit.mean(), self.policy.profit.mean(), self.best_profit.profit.mean()
        )

    @property
    def return_share(self) -> float | None:
        """The same share in reward; the best is then the best by reward."""
        return share_of_gain(
            self.truthful.reward.mean(), self.policy.reward.mean(), self.best_reward.reward.mean()
        )

    def metrics(self) -> list[Metric]:
        """Return the comparison, row by row; the best reply is by profit, in the row of returns by reward.

        Means are over all hours, those of withheld capacity and of the offer over SRMC over the hours with
        dispatch > 0. Markup and Lerner index are by dispatch, as in `AGENT_FIGURES`.
        """
        plays = (self.truthful, self.policy, self.best_profit)

        def row(key: str, label: str, unit: str, values: Sequence[float | None]) -> Metric:
            return Metric(key, label, unit, *(None if v is None else float(v) for v in values))

        returns = (self.truthful, self.policy, self.best_reward)
        return [
            row("price", "clearing price", "$/MWh", [p.price.mean() for p in plays]),
            row("profit", "profit", "$/h", [p.profit.mean() for p in plays]),
            row("return", "return per episode", "", [p.reward.sum(axis=1).mean() for p in returns]),
            row("dispatch", "dispatch", "MW", [p.dispatch.mean() for p in plays]),
            row("withheld", "withheld while running", "%", [self._withheld(p) for p in plays]),
            row("offer_markup", "offer - SRMC while running", "$/MWh", [_offer_markup(p) for p in plays]),
            row("markup", "markup over SRMC", "$/MWh", [_markup(p) for p in plays]),
            row("lerner", "Lerner index", "", [_lerner(p) for p in plays]),
            row(
                "hours_gained",
                "hours with a gain",
                "%",
                [100 * float((p.profit - self.truthful.profit > TELLING_GAIN).mean()) for p in plays],
            ),
            row("consumer_cost", "consumer cost", "$/h", [p.consumer_cost.mean() for p in plays]),
            row("production_cost", "production cost", "$/h", [p.production_cost.mean() for p in plays]),
            row(
                "welfare_loss",
                "welfare loss",
                "$/h",
                [(p.production_cost - self.truthful.production_cost).mean() for p in plays],
            ),
            row("unserved", "unserved energy", "MWh/h", [p.unserved.mean() for p in plays]),
            row("profit_share", "share of attainable gain", "%", self._shares(self.profit_share)),
            row("return_share", "the same in return", "%", self._shares(self.return_share)),
        ]

    def _withheld(self, played: Play) -> float | None:
        """Return the share of the capacity of the running hours that was not offered, %."""
        running = played.dispatch > 0
        capacity = self.truthful.offer_mw[running].sum()  # truthful bidding withholds nothing
        return float(100 * (1 - played.offer_mw[running].sum() / capacity)) if capacity > 0 else None

    @staticmethod
    def _shares(policy: float | None) -> tuple[float | None, float | None, float | None]:
        return (None, None, None) if policy is None else (0.0, 100 * policy, 100.0)


def evaluate(
    scenario: Scenario,
    learner: int | str,
    policy: Policy,
    *,
    rivals: Any = None,
    days: Sequence[int] | None = None,
    episodes: int | None = None,
    seed: int = 0,
    grid: Grid | None = None,
) -> Evaluation:
    """Play a policy, truthful bidding and the exact best reply on the same fixed episodes.

    Parameters
    ----------
    scenario
        The market game, as it was before training days were cut from it.
    learner
        The learner's place or name.
    policy
        Maps observations (N, F) float32 to actions (N, 2).
    rivals
        How the others bid, as `MarketVectorEnv` takes it; None is truthful.
    days
        Days on which episodes start, 0 = the first of the series; `evaluation_days(scenario)` when None.
    episodes
        Number of episodes, which take the days in turn. When None: one a day for a series of several days,
        else one, or 512 draws where the scenario has anything random in it.
    seed
        Seed of the evaluation's own stream of randomness, which no training seed touches.
    grid
        The offers among which the best reply is looked for; `Grid()` when None.

    Returns
    -------
    Evaluation
        The four plays, and the comparison drawn from them.

    Raises
    ------
    ValueError
        When a day cannot hold an episode, the seed is negative, the policy returns another shape than (N, 2),
        or it is an `MlpPolicy` that draws its actions or takes other observations.
    TypeError
        When the scenario or the grid is none, a number is no whole one, the policy is a torch module, or its
        actions are not real numbers.

    Notes
    -----
    The value of served demand is the same whoever serves it, so welfare falls by what production costs more
    than under truthful bidding (`welfare_loss`, $/h). Unserved energy has no price of its own here and
    stands beside it, in MWh/h. Withheld capacity and the offer over SRMC are means over the hours in which
    the learner runs under that way of bidding (dispatch > 0), since an offer that is not called on can be
    any. Markup and Lerner index are means by dispatch of y - c and (y - c) / y, y being what the learner is
    paid: the price, or its own offer under pay-as-bid. All are None where it never runs. `evaluate_profile`
    defines them alike.
    """
    check_kind("scenario", scenario, Scenario)
    grid = Grid() if grid is None else grid
    check_kind("grid", grid, Grid)
    index = scenario.agent_index(learner)
    fixed = Episodes.fixed(scenario, index, rivals, days=days, episodes=episodes, seed=seed)
    honest = play(fixed, truthful)
    played = play(fixed, policy)
    best_profit, best_reward = best_replies(fixed, honest, grid)
    return Evaluation(fixed, honest, played, best_profit, best_reward)


def share_of_gain(honest: float, policy: float, best: float) -> float | None:
    """Return (policy - honest) / (best - honest), None where there is nothing to gain."""
    # A gain smaller than the rounding of the sums is none.
    if best - honest <= 1e-9 * max(1.0, abs(best), abs(honest)):
        return None
    return float((policy - honest) / (best - honest))


def _offer_markup(played: Play) -> float | None:
    """Return the mean of offer price less SRMC over the running hours, $/MWh."""
    running = played.dispatch > 0
    return float((played.offer_price - played.srmc)[running].mean()) if running.any() else None


def _markup(played: Play) -> float | None:
    """Return the mean of what is paid less SRMC, by dispatch, $/MWh."""
    energy = played.dispatch.sum()
    return float(played.profit.sum() / energy) if energy > 0 else None


def _lerner(played: Play) -> float | None:
    """Return the mean of (paid - SRMC) / paid, by dispatch, over the hours in which something is paid."""
    counted = (played.dispatch > 0) & (played.paid > 0)
    if not counted.any():
        return None
    paid, srmc = played.paid[counted], played.srmc[counted]
    return float(np.average((paid - srmc) / paid, weights=played.dispatch[counted]))
