"""Who plays: the learner's place and the rivals, as users write them, made into the seats of the engine."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vecmarket import _core
from vecmarket.checks import real_number
from vecmarket.policies import MlpPolicy, PolicyPool, Seat, refuse_module

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from vecmarket.config import Scenario

__all__ = ["ALL", "Bid", "Rival", "Rivals", "Seats", "learner_place", "take_seats"]

ALL = "all"

Bid: TypeAlias = "Callable[[NDArray[np.float32]], ArrayLike]"
"""A rival in Python: f(observations (N, F) float32) -> actions (N, 2)."""

Rival: TypeAlias = "str | float | MlpPolicy | PolicyPool | Bid | None"
"""None or ``"truthful"``: everything at SRMC. A number: everything at that markup, $/MWh. A policy or a pool,
which the engine plays. Or a callable."""

Rivals: TypeAlias = "Rival | Sequence[Rival] | Mapping[str | int, Rival]"
"""One rival for every other agent; one per agent, by place; or one by name or place, the others truthful."""


@dataclass(frozen=True)
class Seats:
    """What sits in each agent's place.

    Attributes
    ----------
    engine
        One per agent, as the engine takes them, (A,).
    bidders
        The rivals that Python plays, by their place.
    """

    engine: tuple[Seat, ...]
    bidders: Mapping[int, Bid]


def learner_place(scenario: Scenario, learner: int | str) -> int | None:
    """Return the learner's place among the agents, None for ``"all"``.

    Raises
    ------
    ValueError
        When the scenario has no such agent.
    TypeError
        When `learner` is neither a name nor an integer.
    """
    if isinstance(learner, str):
        return None if learner == ALL else scenario.agent_index(learner)
    if isinstance(learner, bool | np.bool_):
        raise TypeError(f'learner: must be a place, a name or "all", got {learner!r}')
    try:
        return scenario.agent_index(operator.index(learner))
    except TypeError:
        raise TypeError(f'learner: must be a place, a name or "all", got {learner!r}') from None


def take_seats(scenario: Scenario, learner: int | None, rivals: Rivals) -> Seats:
    """Give every agent its seat; `learner` is a place, or None where every agent learns.

    Raises
    ------
    ValueError
        When a rival's name, number or place cannot be used, the lengths do not fit, or a policy takes other
        observations than the scenario shows.
    TypeError
        When something is no rival at all.
    """
    agents = len(scenario.agents)
    if learner is None:
        if rivals is not None:
            raise ValueError('rivals: must be None where learner is "all": no agent is left to play one')
        return Seats(("acts",) * agents, {})

    seats: list[Seat] = []
    bidders: dict[int, Bid] = {}
    for place, rival in enumerate(_by_place(scenario, learner, rivals)):
        if place == learner:
            seats.append("acts")
        elif isinstance(rival, MlpPolicy | PolicyPool):
            _check_features(f"rivals[{scenario.agents[place]!r}]", rival, scenario)
            seats.append(rival)
        elif callable(rival):
            refuse_module(f"rivals[{scenario.agents[place]!r}]", rival)
            seats.append("acts")
            bidders[place] = rival
        else:
            seats.append(_fixed(f"rivals[{scenario.agents[place]!r}]", rival))
    return Seats(tuple(seats), bidders)


def _by_place(scenario: Scenario, learner: int, rivals: Any) -> list[Any]:
    """Return one rival per agent; the learner's own entry has no meaning."""
    agents = len(scenario.agents)
    if isinstance(rivals, np.ndarray):
        rivals = rivals.tolist()
    if (
        callable(rivals)
        or isinstance(rivals, str | bytes | bytearray)
        or not isinstance(rivals, Sequence | Mapping)
    ):
        return [rivals] * agents
    if isinstance(rivals, Mapping):
        entries: list[Any] = [None] * agents
        named: set[int] = set()
        for agent, rival in rivals.items():
            place = scenario.agent_index(agent)
            if place in named:
                raise ValueError(f"rivals: agent {scenario.agents[place]!r} is given twice")
            named.add(place)
            entries[place] = rival
    else:
        entries = list(rivals)
        if len(entries) == agents - 1:
            entries.insert(learner, None)
    if len(entries) != agents:
        raise ValueError(
            f"rivals: must be one per agent ({agents}, None for the learner) or one per rival "
            f"({agents - 1}), got {len(entries)}"
        )
    if entries[learner] is not None:
        raise ValueError(
            f"rivals[{scenario.agents[learner]!r}]: is the learner and must be None, got {entries[learner]!r}"
        )
    return entries


def _check_features(where: str, rival: MlpPolicy | PolicyPool, scenario: Scenario) -> None:
    """Refuse a policy that takes other observations than the scenario shows."""
    shown = len(_core.feature_names(scenario))
    policies = {"": rival} if isinstance(rival, MlpPolicy) else dict(enumerate(rival.members))
    for i, policy in policies.items():
        if isinstance(policy, MlpPolicy) and policy.num_features != shown:
            which = f"{where}: " if i == "" else f"{where}: members[{i}] "
            raise ValueError(f"{which}takes {policy.num_features} features, the environment shows {shown}")


def _fixed(where: str, rival: Any) -> str | float:
    """Return the seat of a rival that the engine itself plays."""
    if rival is None:
        return "truthful"
    if isinstance(rival, str):
        if rival == "truthful":
            return rival
        raise ValueError(
            f'{where}: unknown rival {rival!r}; the legal ones are "truthful", a markup, a policy, '
            "a pool or a callable"
        )
    if isinstance(rival, bool | np.bool_) or not isinstance(rival, Real):
        legal = 'None, "truthful", a markup in $/MWh, an MlpPolicy, a PolicyPool or a callable'
        raise TypeError(f"{where}: must be {legal}, got {type(rival).__name__}")
    return real_number(where, rival)
