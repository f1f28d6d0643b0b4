"""Play a profile of policies on fixed episodes, and keep what happened to every agent in every hour."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecmarket.checks import action_array
from vecmarket.config import Choice, Normal, Uniform
from vecmarket.evaluation.plays import check_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecmarket.config import Number, Scenario
    from vecmarket.evaluation.plays import Batch, Episodes, Policy
    from vecmarket.evaluation.profile import Profile

__all__ = ["MarketPlay", "Plan", "Said", "play_profile"]


@dataclass(frozen=True, eq=False)
class Said:
    """What a policy was shown and what it answered: observations (N, T, F), actions (N, T, 2), float32."""

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MarketPlay:
    """What a profile did. N episodes, T hours, A agents; float64 unless said.

    Attributes
    ----------
    hour
        Hour of the series, (N, T) int64.
    demand, unserved
        Demand and unserved energy, MWh, (N, T).
    price
        Clearing price, $/MWh, (N, T).
    srmc
        Short-run marginal costs of the episode, $/MWh, (N, A).
    offer_price, offer_mw, dispatch
        Offers, $/MWh and MW, and what ran, MW, (N, T, A).
    profit
        $, (N, T, A).
    pay_as_bid
        Whether each unit is paid its own offer instead of the clearing price.
    said
        What each agent that bids by a policy saw and did, by its place.
    """

    hour: NDArray[np.int64]
    demand: NDArray[np.float64]
    unserved: NDArray[np.float64]
    price: NDArray[np.float64]
    srmc: NDArray[np.float64]
    offer_price: NDArray[np.float64]
    offer_mw: NDArray[np.float64]
    dispatch: NDArray[np.float64]
    profit: NDArray[np.float64]
    pay_as_bid: bool
    said: Mapping[int, Said]

    @property
    def paid(self) -> NDArray[np.float64]:
        """What each agent is paid, $/MWh, (N, T, A): the price, or its own offer under pay-as-bid."""
        return (
            self.offer_price
            if self.pay_as_bid
            else np.broadcast_to(self.price[:, :, None], self.profit.shape)
        )

    @property
    def consumer_cost(self) -> NDArray[np.float64]:
        """What consumers paid, $, (N, T)."""
        total: NDArray[np.float64] = (self.paid * self.dispatch).sum(axis=2)
        return total

    @property
    def production_cost(self) -> NDArray[np.float64]:
        """Short-run cost of all that ran, $, (N, T)."""
        total: NDArray[np.float64] = (self.srmc[:, None, :] * self.dispatch).sum(axis=2)
        return total


class Plan:
    """A bidder that says the same, hour by hour, whatever it is shown.

    Parameters
    ----------
    actions
        (N, T, 2) float32.
    copies
        How often each episode stands in the batch, one beside the other.
    observations
        What it expects to be shown, (N, T, F) float32; None for no expectation.

    Attributes
    ----------
    surprised
        Whether any hour showed any copy something else, to the bit.
    """

    def __init__(
        self, actions: NDArray[np.float32], copies: int = 1, observations: NDArray[np.float32] | None = None
    ) -> None:
        self.surprised = False
        self._actions, self._copies, self._expected = actions, copies, observations
        self._hour = 0

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the actions of the next hour, (N * copies, 2)."""
        t, self._hour = self._hour, self._hour + 1
        if self._expected is not None and not self.surprised:
            seen = observations.reshape(-1, self._copies, observations.shape[1])
            self.surprised = not (seen == self._expected[:, t, None]).all()
        return self._actions[:, t].repeat(self._copies, axis=0)


class _Recorder:
    """A policy whose every call is kept."""

    def __init__(self, name: str, policy: Policy) -> None:
        self._name, self._policy = name, policy
        self._seen: list[NDArray[np.float32]] = []
        self._done: list[NDArray[np.float32]] = []

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        check_features(f"profile[{self._name!r}]", self._policy, observations)
        # Copies: a policy may change what it is shown, and hand out the same array in every hour.
        self._seen.append(observations.copy())
        where = f"profile[{self._name!r}], step {len(self._done)}"
        shape = (len(observations), 2)
        actions: NDArray[np.float32] = action_array(where, self._policy(observations), shape).copy()
        self._done.append(actions)
        return actions

    def said(self) -> Said:
        return Said(np.stack(self._seen, axis=1), np.stack(self._done, axis=1))


def play_profile(episodes: Episodes, profile: Profile) -> MarketPlay:
    """Play a profile through the episodes, one environment each.

    Parameters
    ----------
    episodes
        What is played; its learner and rivals do not count.
    profile
        How every agent bids. A policy is called once per hour with its agent's observations (N, F), float32.

    Raises
    ------
    ValueError, TypeError
        When a policy's actions have the wrong shape, are not real or not finite, or an `MlpPolicy` takes
        other observations.
    """
    recorders = {
        place: _Recorder(profile.agents[place], bidder)
        for place, bidder in enumerate(profile.bidders)
        if callable(bidder)
    }
    bidders = [recorders.get(place, bidder) for place, bidder in enumerate(profile.bidders)]
    # Somebody has to act: a policy, or someone truthful, whom an action of zeros says exactly.
    lead = next((p for p, b in enumerate(bidders) if callable(b)), None)
    if lead is None:
        lead = next((p for p, b in enumerate(bidders) if b is None), 0)
    raised = bidders[lead]
    markup = raised if isinstance(raised, float) else 0.0
    if markup:
        # Where all have markups, no action says one exactly: the lead tells the truth about a dearer unit.
        episodes = dataclasses.replace(episodes, scenario=_dearer(episodes.scenario, lead, markup))
    act: Policy = recorders.get(lead, _zeros)
    rivals = [None if place == lead else bidder for place, bidder in enumerate(bidders)]
    batch, observations = dataclasses.replace(episodes, learner=lead, rivals=rivals).start()
    hours = []
    for _ in range(episodes.scenario.horizon):
        observations = batch.step(act(observations))
        hours.append(_read(batch))
    srmc = batch.srmc.copy()
    srmc[:, lead] -= markup
    joined = {name: np.stack([hour[name] for hour in hours], axis=1) for name in hours[0]}
    pay_as_bid = episodes.scenario.rules.pricing == "pay_as_bid"
    if markup:
        paid = joined["offer_price"][:, :, lead] if pay_as_bid else joined["price"]
        joined["profit"][:, :, lead] = (paid - srmc[:, None, lead]) * joined["dispatch"][:, :, lead]
    said = {place: recorder.said() for place, recorder in recorders.items()}
    return MarketPlay(**joined, srmc=srmc, pay_as_bid=pay_as_bid, said=said)


def _read(batch: Batch) -> dict[str, NDArray[Any]]:
    engine = batch.engine
    offer_price, offer_mw = engine.offers()
    return {
        "hour": batch.hour.copy(),
        "demand": engine.demand.copy(),
        "unserved": engine.unserved.copy(),
        "price": engine.prices.copy(),
        "offer_price": offer_price.copy(),
        "offer_mw": offer_mw.copy(),
        "dispatch": engine.dispatch.copy(),
        "profit": engine.profits.copy(),
    }


def _zeros(observations: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.zeros((len(observations), 2), np.float32)


def _dearer(scenario: Scenario, place: int, markup: float) -> Scenario:
    """Return the scenario in which one unit costs so much more, to draw which changes nothing else."""
    unit = scenario.generators[place]
    dearer = dataclasses.replace(unit, srmc=_raised(unit.srmc, markup))
    units = scenario.generators
    return scenario.replace(generators=(*units[:place], dearer, *units[place + 1 :]))


def _raised(number: Number, by: float) -> Number:
    if isinstance(number, Choice):
        return Choice(tuple(value + by for value in number.values))
    if isinstance(number, Uniform):
        return Uniform(number.low + by, number.high + by)
    if isinstance(number, Normal):
        return Normal(number.mean + by, number.sd, number.low + by, number.high + by)
    return number + by
