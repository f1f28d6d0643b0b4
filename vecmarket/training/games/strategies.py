"""How agents bid in a game, and what the market needs in order to play it.

A strategy is ``"truthful"``, a fixed markup in $/MWh, or a trained policy, which bids its mean action. A
`Pool` is a mixture of past strategies. Strategies stand still: a policy in one is never trained further.

`frozen` is the one place where a strategy becomes a rival of the environment, and `Mixture` the one where a
pool is drawn from. Both play in Python so far; a policy that the engine evaluates itself, and a mixture that
it draws itself, take their place here without a change elsewhere.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from vecmarket.config import Scenario
from vecmarket.training.policy import ActorCritic, NumpyPolicy, as_numpy_policy

__all__ = ["Mixture", "Pool", "Strategy", "as_bid", "frozen", "pack", "still", "unpack"]

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


class Mixture:
    """A pool as a rival in Python: draws a member per row and episode and bids as it does.

    A rival in Python is not told where episodes begin, so this one counts its calls. That is exact where all
    rows start together, once, and every episode has the same length, as in a training job.

    Parameters
    ----------
    bids
        What each member does, observations (N, F) to actions (N, 2).
    horizon
        Steps of an episode.
    seed
        Key of the draws; a draw depends on it, on the episode's number and on the row alone.
    """

    def __init__(self, bids: Sequence[NumpyPolicy], horizon: int, seed: int) -> None:
        self.horizon = horizon
        self.seed = seed
        self.calls = 0  # steps since the first reset; a restored job sets it
        # a member that is there twice is asked once, for the rows of both
        self._bids = list({id(bid): bid for bid in bids}.values())
        places = {id(bid): place for place, bid in enumerate(self._bids)}
        self._member = np.array([places[id(bid)] for bid in bids])
        self._drawn = (-1, np.zeros(0, np.int64))  # the episode, and who was drawn for it, (N,)

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return actions (N, 2) float32."""
        episode = self.calls // self.horizon
        if self._drawn[0] != episode or len(self._drawn[1]) != len(observations):
            random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(episode,)))
            chosen = random.integers(len(self._member), size=len(observations))
            self._drawn = episode, self._member[chosen]
        self.calls += 1
        actions = np.zeros((len(observations), 2), np.float32)
        for place in np.unique(self._drawn[1]):
            rows = self._drawn[1] == place
            actions[rows] = self._bids[place](observations[rows])
        return actions


def frozen(scenario: Scenario, strategy: Strategy | Pool, seed: int) -> Any:
    """Return what `MarketVectorEnv` takes as a rival: a name, a markup or a callable that never changes.

    Parameters
    ----------
    scenario
        The market game.
    strategy
        How the rival bids.
    seed
        Key of a pool's draws.
    """
    if isinstance(strategy, Pool):
        kinds = {id(member): as_bid(scenario, member) for member in strategy.members}
        return Mixture([kinds[id(member)] for member in strategy.members], scenario.horizon, seed)
    return as_bid(scenario, strategy) if isinstance(strategy, ActorCritic) else strategy


def as_bid(scenario: Scenario, strategy: Strategy) -> NumpyPolicy:
    """Return a strategy as a function from observations (N, F) to actions (N, 2), float32.

    Raises
    ------
    ValueError
        When it is a markup and the scenario draws `max_bid_delta`: no fixed action is that markup then.
    """
    if isinstance(strategy, ActorCritic):
        return as_numpy_policy(still(strategy))
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
