"""What one agent could gain by bidding in another way, while the others keep to their policies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vecmarket.evaluation.best_reply import COPIES_AT_ONCE, find_reach
from vecmarket.evaluation.comparison import share_of_gain
from vecmarket.evaluation.markets import Plan, play_profile
from vecmarket.evaluation.offers import PARAMETER_LIMIT, Situation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecmarket.evaluation.markets import MarketPlay
    from vecmarket.evaluation.offers import Grid
    from vecmarket.evaluation.plays import Episodes
    from vecmarket.evaluation.profile import Profile

__all__ = ["Deviation", "best_deviation"]

TELLING = 1e-9  # share of a profit, at least of 1 $, below which a gain is rounding


@dataclass(frozen=True, eq=False)
class Deviation:
    """One agent's best response to the others' policies. N episodes, T hours.

    Attributes
    ----------
    agent
        Its place.
    own, truthful, best
        Its profit under the profile, under truthful bidding and under its best response against the same
        rivals, $, (N, T).
    price
        Clearing price under its best response, $/MWh, (N, T).
    deviates
        Where the best response gains something; elsewhere it is what the profile does, (N, T) bool.
    actions
        The best response as actions, (N, T, 2) float32.
    exact
        Whether no rival's observation changed with what the agent did, so that the rivals' offers in an hour
        are the same whatever it did before. Then `best` is exact up to the grid's `below`. Otherwise it is
        the best of the profile, truthful bidding and the hourly best responses, each played through with the
        rivals answering, in every episode: a lower bound of what the agent could get.
    """

    agent: int
    own: NDArray[np.float64]
    truthful: NDArray[np.float64]
    best: NDArray[np.float64]
    price: NDArray[np.float64]
    deviates: NDArray[np.bool_]
    actions: NDArray[np.float32]
    exact: bool

    @property
    def gain(self) -> float:
        """What deviating adds to the agent's profit, mean over all hours, $/h; never negative."""
        return float((self.best - self.own).mean())

    @property
    def share(self) -> float | None:
        """Share of the attainable gain that the profile has: (own - truthful) / (best - truthful).

        None where nothing can be gained over truthful bidding; negative where the profile is worse than it.
        """
        return share_of_gain(self.truthful.mean(), self.own.mean(), self.best.mean())

    def replay(self, episodes: Episodes, profile: Profile) -> MarketPlay:
        """Play the best response through, the rivals answering in every hour with what they then see."""
        return play_profile(episodes, profile.with_bidder(self.agent, Plan(self.actions)))


def best_deviation(
    episodes: Episodes, profile: Profile, played: MarketPlay, honest: MarketPlay, agent: int, grid: Grid
) -> Deviation:
    """Find an agent's best response to the others' policies, hour by hour, over a grid of offers.

    Parameters
    ----------
    episodes
        What is played; its learner and rivals do not count.
    profile
        How every agent bids.
    played, honest
        The profile and all-truthful bidding on these episodes.
    agent
        Place of the agent.
    grid
        The offers tried.

    Notes
    -----
    The rivals' policies are not asked again: what they said in the play of the profile is played against
    every offer of the grid, in copies of the episodes, and each copy checks that the rivals are shown what
    they were shown then.
    """
    at = _situation(episodes, played, honest, agent)
    per_batch = max(1, COPIES_AT_ONCE // grid.size(float(at.reach.max()), at.levels.shape[2]))
    parts = [
        _search(
            episodes, profile, played, agent, slice(i, i + per_batch), grid.actions(at[i : i + per_batch])
        )
        for i in range(0, len(episodes), per_batch)
    ]
    truthful, best, price, actions = (np.concatenate([p[k] for p in parts]) for k in range(4))
    exact = not any(p[4] for p in parts)
    own = played.profit[:, :, agent]
    deviates = best - own > TELLING * np.maximum(1.0, np.abs(own))
    own_actions = _own_actions(profile, played, at, agent)
    found = Deviation(
        agent=agent,
        own=own,
        truthful=truthful,
        best=np.where(deviates, best, own),
        price=np.where(deviates, price, played.price),
        deviates=deviates,
        actions=np.where(deviates[:, :, None], actions, own_actions),
        exact=exact,
    )
    return found if exact else _played_through(episodes, profile, played, found, own_actions)


def _situation(episodes: Episodes, played: MarketPlay, honest: MarketPlay, agent: int) -> Situation:
    reach = find_reach(dataclasses.replace(episodes, learner=agent, rivals=None))
    srmc = np.broadcast_to(honest.srmc[:, agent, None], played.price.shape)
    available = honest.offer_mw[:, :, agent]  # truthful bidding withholds nothing
    return Situation.of(agent, srmc, available, played.demand, reach, played.offer_price, played.offer_mw)


def _search(
    episodes: Episodes,
    profile: Profile,
    played: MarketPlay,
    agent: int,
    part: slice,
    actions: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float32], bool]:
    """Return truthful profit, best profit, its price (n, T), its actions (n, T, 2), and any surprise."""
    n, horizon, tried, _ = actions.shape
    plans = {
        place: Plan(said.actions[part], tried, said.observations[part])
        for place, said in played.said.items()
        if place != agent
    }
    rivals = [plans.get(place, bidder) for place, bidder in enumerate(profile.bidders)]
    rivals[agent] = None
    batch, _ = dataclasses.replace(episodes, learner=agent, rivals=rivals).start(tried, part, offers=False)
    everyone = np.arange(n)
    truthful, best, price = (np.empty((n, horizon)) for _ in range(3))
    chosen = np.empty((n, horizon, 2), np.float32)
    for t in range(horizon):
        batch.step(np.ascontiguousarray(actions[:, t].reshape(n * tried, 2)))
        profit = batch.profit.reshape(n, tried)
        k = profit.argmax(axis=1)
        truthful[:, t], best[:, t] = profit[:, 0], profit[everyone, k]
        price[:, t] = batch.engine.prices[everyone * tried + k]
        chosen[:, t] = actions[everyone, t, k]
    return truthful, best, price, chosen, any(plan.surprised for plan in plans.values())


def _own_actions(profile: Profile, played: MarketPlay, at: Situation, agent: int) -> NDArray[np.float32]:
    """Return what the agent does in the profile as actions, (N, T, 2); a markup to the nearest float32."""
    if agent in played.said:
        return played.said[agent].actions
    actions = np.zeros((*at.srmc.shape, 2), np.float32)
    markup = profile.bidders[agent]
    if isinstance(markup, float):
        share = np.clip(markup / at.reach, -1.0, 1.0)
        with np.errstate(divide="ignore"):
            parameter = np.clip(np.arctanh(share), -PARAMETER_LIMIT, PARAMETER_LIMIT)
        actions[:, :, 1] = parameter[:, None]
    return actions


def _played_through(
    episodes: Episodes,
    profile: Profile,
    played: MarketPlay,
    found: Deviation,
    own_actions: NDArray[np.float32],
) -> Deviation:
    """Return what the agent gets when the rivals answer: in each episode the best of three plays."""
    agent = found.agent
    honest = play_profile(episodes, profile.with_bidder(agent, None))
    plays = (played, honest, found.replay(episodes, profile))
    profits = np.stack([p.profit[:, :, agent] for p in plays])  # (3, N, T)
    choice = profits.sum(axis=2).argmax(axis=0)  # (N,); the profile itself among equals
    everyone = np.arange(len(choice))
    actions = np.stack([own_actions, np.zeros_like(own_actions), found.actions])
    return dataclasses.replace(
        found,
        truthful=profits[1],
        best=profits[choice, everyone],
        price=np.stack([p.price for p in plays])[choice, everyone],
        deviates=np.broadcast_to((choice > 0)[:, None], found.own.shape),
        actions=actions[choice, everyone],
    )
