"""Pools of rivals, of which each episode draws one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from vecmarket.checks import real_number
from vecmarket.policies.mlp import MlpPolicy

__all__ = ["Member", "PolicyPool", "Seat"]

Member: TypeAlias = "MlpPolicy | str | float | None"
"""Whom a pool holds: a policy; ``"truthful"`` or None; or a number: a fixed markup, $/MWh."""


Seat: TypeAlias = "str | float | MlpPolicy | PolicyPool"
"""``"acts"``, ``"truthful"``, a fixed markup in $/MWh, or a policy or pool that the engine plays."""


@dataclass(frozen=True)
class PolicyPool:
    """Rivals of which one is drawn for each environment, agent and episode: fictitious self-play.

    The draw is keyed by the environment's seed, the episode and the agent's place.

    Parameters
    ----------
    members
        Policies, ``"truthful"`` (or None), or fixed markups in $/MWh; at least one.
    weights
        How often each is drawn, in proportion, >= 0, one per member; None for all alike.

    Raises
    ------
    ValueError
        When there is no member, a number is not finite or negative, or the lengths differ.
    TypeError
        When something is no member at all; a callable is none, since the engine plays the members.

    Notes
    -----
    Learning against the mixture of all past policies is fictitious play: Heinrich, Lanctot and Silver,
    "Fictitious Self-Play in Extensive-Form Games", ICML 2015.
    """

    members: Sequence[Member]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.members, str | bytes) or not isinstance(self.members, Iterable):
            raise TypeError(f"members: must be a sequence, got {type(self.members).__name__}")
        members = tuple(_member(f"members[{i}]", member) for i, member in enumerate(self.members))
        if not members:
            raise ValueError("members: must name at least one")
        object.__setattr__(self, "members", members)
        if self.weights is None:
            return
        if isinstance(self.weights, str | bytes) or not isinstance(self.weights, Iterable):
            raise TypeError(f"weights: must be a sequence, got {type(self.weights).__name__}")
        weights = tuple(real_number(f"weights[{i}]", weight) for i, weight in enumerate(self.weights))
        if len(weights) != len(members):
            raise ValueError(f"weights: must have one entry per member, {len(members)}, got {len(weights)}")
        for i, weight in enumerate(weights):
            if weight < 0:
                raise ValueError(f"weights[{i}]: must be >= 0, got {weight}")
        if not any(weights):
            raise ValueError("weights: must not all be 0")
        object.__setattr__(self, "weights", weights)


def _member(where: str, member: Any) -> MlpPolicy | str | float:
    if member is None:
        return "truthful"
    if isinstance(member, str):
        if member != "truthful":
            raise ValueError(f'{where}: unknown member {member!r}; the legal name is "truthful"')
        return member
    if isinstance(member, MlpPolicy):
        return member
    if isinstance(member, bool | np.bool_) or not isinstance(member, int | float | np.number):
        raise TypeError(
            f'{where}: must be an MlpPolicy, "truthful" or a markup in $/MWh, got {type(member).__name__}'
        )
    return real_number(where, member)
