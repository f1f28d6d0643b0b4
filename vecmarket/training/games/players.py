"""Who plays a game, and the rows that a round leaves."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from vecmarket.config import Scenario
from vecmarket.training.games.config import GameConfig, GameRun
from vecmarket.training.games.episodes import Outcome
from vecmarket.training.games.strategies import Pool, Strategy

__all__ = ["GameLearner", "Row", "learning_agents", "profile_rows", "starting_profile"]

Row: TypeAlias = "dict[str, float | str]"
"""One row of rounds.csv, by column."""


class GameLearner(Protocol):
    """What a schedule offers to whoever runs it."""

    strategies: list[Strategy]
    """How every agent bids now, by place."""
    round: int
    """Rounds that are over."""
    rows: list[Row]
    """One row per round and learning agent."""
    agents: tuple[int, ...]
    """Places of the agents that learn."""

    @property
    def finished(self) -> bool:
        """Whether the game is over."""

    @property
    def settled(self) -> bool:
        """Whether it ended because nobody improved."""

    @property
    def steps(self) -> int:
        """Steps of all learners so far."""

    @property
    def training(self) -> str:
        """Who is in training."""

    @property
    def profile(self) -> list[Strategy | Pool]:
        """What every agent is expected to play, by place."""

    def iterate(self) -> dict[str, float]:
        """Take one iteration; return its figures. A ValueError says that the game is over."""

    def state(self) -> dict[str, Any]:
        """Return all that the coming iterations depend on; a copy."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""


def learning_agents(scenario: Scenario, game: GameConfig) -> tuple[int, ...]:
    """Return the places of the agents that learn, in the order in which they take turns.

    Raises
    ------
    ValueError
        When one is not in the scenario or named twice.
    """
    if not game.agents:
        return tuple(range(len(scenario.agents)))
    # from the command line a place comes as text
    named = [
        int(a) if isinstance(a, str) and a.isdecimal() and a not in scenario.agents else a
        for a in game.agents
    ]
    places = tuple(scenario.agent_index(agent) for agent in named)
    for place in places:
        if places.count(place) > 1:
            raise ValueError(f"agents: {scenario.agents[place]!r} is named twice")
    return places


def starting_profile(scenario: Scenario, run: GameRun) -> list[Strategy]:
    """Return how every agent bids before anybody has learned."""
    learning = set(learning_agents(scenario, run.game))
    given = (
        run.game.initial if place in learning else run.train.rivals for place in range(len(scenario.agents))
    )
    return [bid if isinstance(bid, str) else float(bid) for bid in given]


def profile_rows(
    scenario: Scenario,
    agents: Sequence[int],
    round_: int,
    steps: int,
    outcome: Outcome,
    gains: Mapping[int, float],
    changed: Collection[int],
    mixed: Outcome | None = None,
) -> list[Row]:
    """Return one row per learning agent.

    The columns: round, from 1; agent, its name; asked, 1 where it trained in this round; gain, $/h, of what
    it learned over what it did before, the others as they stood, on training days (empty where not asked);
    changed, 1 where it took that over; profit, $/h, dispatch, MW, and the market's price, $/MWh, of the
    profile at the end of the round, mean over the hours of the evaluation episodes; in fictitious play
    mixture_profit and mixture_price, the same of the mixtures; steps, of all learners so far.
    """
    rows: list[Row] = []
    for agent in agents:
        row: Row = {
            "round": round_,
            "agent": scenario.agents[agent],
            "asked": int(agent in gains),
            "gain": gains.get(agent, math.nan),
            "changed": int(agent in changed),
            "profit": float(outcome.profit[agent]),
            "dispatch": float(outcome.dispatch[agent]),
            "price": outcome.price,
        }
        if mixed is not None:
            row |= {"mixture_profit": float(mixed.profit[agent]), "mixture_price": mixed.price}
        rows.append(row | {"steps": steps})
    return rows
