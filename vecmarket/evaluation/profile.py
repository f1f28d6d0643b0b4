"""A profile: how every agent of a market bids."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vecmarket.checks import real_number
from vecmarket.evaluation.plays import check_policy

if TYPE_CHECKING:
    from vecmarket.config import Scenario
    from vecmarket.evaluation.plays import Policy

__all__ = ["Bidder", "Profile"]

Bidder: TypeAlias = "Policy | float | str | None"
"""None or ``"truthful"``: everything at SRMC. A number: everything at that markup, $/MWh. Or a policy."""


@dataclass(frozen=True)
class Profile:
    """One way of bidding per agent.

    Attributes
    ----------
    agents
        Names of the agents, (A,).
    bidders
        One per agent: None is truthful, a number a fixed markup, $/MWh, a callable a policy f(observations
        (N, F) float32) -> actions (N, 2).

    Raises
    ------
    ValueError
        When a policy draws its actions.
    TypeError
        When a policy is a torch module.
    """

    agents: tuple[str, ...]
    bidders: tuple[Policy | float | None, ...]

    def __post_init__(self) -> None:
        for name, bidder in zip(self.agents, self.bidders, strict=True):
            if callable(bidder):
                check_policy(f"profile[{name!r}]", bidder)

    @classmethod
    def of(
        cls, scenario: Scenario, bidders: Profile | Bidder | Sequence[Bidder] | Mapping[Any, Bidder]
    ) -> Profile:
        """Return the profile that a user writes.

        Parameters
        ----------
        scenario
            The market game.
        bidders
            One way of bidding for all agents, one per agent, or a mapping from names or places, in which the
            agents left out are truthful; or a profile of this scenario's agents, which is handed back.

        Raises
        ------
        ValueError
            When there are not as many as agents, an agent is unknown or given twice, a text is not
            ``"truthful"``, a markup is not finite, or a policy draws its actions.
        TypeError
            When an entry is none of the ways of bidding.
        """
        agents = scenario.agents
        if isinstance(bidders, Profile):
            if bidders.agents != agents:
                raise ValueError(f"profile: is of the agents {bidders.agents}, the scenario has {agents}")
            return bidders
        entries = _by_place(scenario, bidders)
        named = zip(agents, entries, strict=True)
        return cls(agents, tuple(_bidder(f"profile[{name!r}]", entry) for name, entry in named))

    def with_bidder(self, place: int, bidder: Policy | float | None) -> Profile:
        """Return the profile in which one agent bids in another way."""
        bidders = list(self.bidders)
        bidders[place] = bidder
        return dataclasses.replace(self, bidders=tuple(bidders))

    def describe(self, place: int) -> str:
        """Return in a word how an agent bids."""
        bidder = self.bidders[place]
        if bidder is None:
            return "truthful"
        return "policy" if callable(bidder) else f"markup {bidder:g}"


def _by_place(scenario: Scenario, bidders: Any) -> list[Any]:
    agents = len(scenario.agents)
    if isinstance(bidders, Mapping):
        entries: list[Any] = [None] * agents
        named: set[int] = set()
        for agent, bidder in bidders.items():
            place = scenario.agent_index(agent)
            if place in named:
                raise ValueError(f"profile: agent {scenario.agents[place]!r} is given twice")
            named.add(place)
            entries[place] = bidder
        return entries
    if isinstance(bidders, np.ndarray):
        bidders = bidders.tolist()
    if callable(bidders) or isinstance(bidders, str | bytes) or not isinstance(bidders, Sequence):
        return [bidders] * agents
    if len(bidders) != agents:
        raise ValueError(f"profile: must have one entry per agent, {agents}, got {len(bidders)}")
    return list(bidders)


def _bidder(where: str, bidder: Any) -> Policy | float | None:
    if bidder is None or callable(bidder):
        policy: Policy | None = bidder
        return policy
    if isinstance(bidder, str):
        if bidder == "truthful":
            return None
        raise ValueError(f'{where}: must be "truthful", a markup or a policy, got {bidder!r}')
    if isinstance(bidder, bool | np.bool_) or not isinstance(bidder, Real):
        raise TypeError(
            f'{where}: must be None, "truthful", a markup in $/MWh or a callable, got {type(bidder).__name__}'
        )
    return real_number(where, bidder)
