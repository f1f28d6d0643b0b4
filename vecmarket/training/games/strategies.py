"""How agents bid in a game, and what the market needs in order to play it.

A strategy is ``"truthful"``, a fixed markup in $/MWh, or a trained policy, which bids its mean action. A
`Pool` is a mixture of past strategies. Strategies stand still: a policy in one is never trained further.

`frozen` makes a strategy a rival that the engine plays: policies and mixtures stay out of the interpreter.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from gymnasium.spaces import Box

from vecmarket.config import Scenario
from vecmarket.policies import MlpPolicy, PolicyPool
from vecmarket.training.policy import ActorCritic, NumpyPolicy

__all__ = ["Pool", "Strategy", "as_bid", "frozen", "pack", "still", "unpack"]

Strategy: TypeAlias = "str | float | ActorCritic"
"""``"truthful"``, a fixed markup in $/MWh, or a trained policy."""


@dataclass(frozen=True)
class Pool:
    """A mixture of strategies: each market draws one per episode, all with the same chance.

    Attributes
    ----------
    members
        The strategies; one may be there more than once. At least one.
    """

    members: tuple[Strategy, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("members: a pool must have at least one")


def frozen(strategy: Strategy | Pool) -> str | float | MlpPolicy | PolicyPool:
    """Return what `MarketVectorEnv` takes as a rival, none of which ever changes."""
    if isinstance(strategy, Pool):
        # a member that is there more than once is kept once, and drawn as often
        unique = list({id(member): member for member in strategy.members}.values())
        counts = [float(sum(member is other for other in strategy.members)) for member in unique]
        return PolicyPool([_member(member) for member in unique], counts)
    return _member(strategy)


def _member(strategy: Strategy) -> str | float | MlpPolicy:
    return MlpPolicy.from_torch(strategy) if isinstance(strategy, ActorCritic) else strategy


def as_bid(scenario: Scenario, strategy: Strategy) -> NumpyPolicy:
    """Return a strategy as a function from observations (N, F) to actions (N, 2), float32.

    Raises
    ------
    ValueError
        When it is a markup and the scenario draws `max_bid_delta`: no fixed action is that markup then.
    """
    if isinstance(strategy, ActorCritic):
        return MlpPolicy.from_torch(strategy)
    action = np.array([0.0, 0.0 if isinstance(strategy, str) else _price_action(scenario, strategy)])
    return lambda observations: np.tile(action.astype(np.float32), (len(observations), 1))


def still(model: ActorCritic) -> ActorCritic:
    """Return a copy of a policy on the CPU that does not learn."""
    return copy.deepcopy(model).cpu().requires_grad_(False)


def pack(strategies: Sequence[Strategy]) -> dict[str, Any]:
    """Return strategies as plain values and tensors, for a checkpoint; one that is there twice once."""
    unique = list({id(strategy): strategy for strategy in strategies}.values())
    places = {id(strategy): place for place, strategy in enumerate(unique)}
    known = [
        {"hidden": list(s.hidden), "activation": s.activation, "weights": dict(s.state_dict())}
        if isinstance(s, ActorCritic)
        else s
        for s in unique
    ]
    return {"known": known, "places": [places[id(strategy)] for strategy in strategies]}


def unpack(packed: Mapping[str, Any]) -> list[Strategy]:
    """Return the strategies that `pack` was given, those that were one as one."""
    known: list[Strategy] = [
        _model(entry) if isinstance(entry, Mapping) else entry for entry in packed["known"]
    ]
    return [known[place] for place in packed["places"]]


def _model(entry: Mapping[str, Any]) -> ActorCritic:
    weights = entry["weights"]
    model = ActorCritic(
        Box(-np.inf, np.inf, tuple(weights["centre"].shape)),
        Box(-np.inf, np.inf, tuple(weights["action_low"].shape)),
        hidden=entry["hidden"],
        activation=entry["activation"],
    )
    model.load_state_dict(weights)
    return still(model)


def _price_action(scenario: Scenario, markup: float) -> float:
    reach = scenario.bidding.max_bid_delta
    if not isinstance(reach, float | int):
        raise ValueError(
            f"markup {markup}: can only be played here where max_bid_delta is one number, got {reach}"
        )
    if abs(markup) > reach:
        raise ValueError(f"markup {markup}: must be within max_bid_delta, {reach} $/MWh")
    return math.atanh(markup / reach) if abs(markup) < reach else math.copysign(10.0, markup)
