"""Play one way of bidding on fixed episodes, and keep what happened in every hour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vecmarket.envs import MarketVectorEnv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecmarket.config import Scenario

__all__ = ["Episodes", "Play", "Policy", "play", "truthful"]

Policy: TypeAlias = Callable[["NDArray[np.float32]"], "NDArray[np.floating[Any]]"]
"""Maps observations (N, F) float32 to actions (N, 2): withheld share of capacity, price parameter."""


@dataclass(frozen=True)
class Episodes:
    """The fixed episodes of an evaluation: a scenario, who learns, where each starts, and its own randomness.

    Attributes
    ----------
    scenario
        The market game.
    learner
        Place of the learner among the agents.
    rivals
        How the others bid, as `MarketVectorEnv` takes it.
    days
        Day of the series on which each episode starts, 0 = the first, one per episode, (N,).
    seeds
        Environment seed of each episode, (N,).
    """

    scenario: Scenario
    learner: int
    rivals: Any
    days: tuple[int, ...]
    seeds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.days)

    def start(self, copies: int = 1, part: slice = slice(None)) -> tuple[Batch, NDArray[np.float32]]:
        """Return a batch at the first hour of the episodes, each `copies` times over, and what it sees."""
        days, seeds = (
            np.repeat(self.days[part], copies),
            np.repeat(np.array(self.seeds[part], object), copies),
        )
        env = MarketVectorEnv(
            len(days), self.scenario, learner=self.learner, rivals=self.rivals, autoreset_mode="disabled"
        )
        observations, _ = env.reset(seed=seeds.tolist(), options={"start": days * 24})
        return Batch(env, self.learner), observations


@dataclass(frozen=True)
class Play:
    """What one way of bidding did, hour by hour. N episodes, T hours, A agents; every array is float64.

    Attributes
    ----------
    hour
        Hour of the series, (N, T).
    demand, unserved
        Demand and unserved energy, MWh, (N, T).
    price
        Clearing price, $/MWh, (N, T).
    srmc, offer_price
        The learner's short-run marginal cost and offer, $/MWh, (N, T).
    offer_mw, dispatch
        What the learner offered and what ran, MW, (N, T).
    profit, reward
        The learner's profit, $, and reward, (N, T).
    consumer_cost
        What consumers paid, $: price times what was served, or the sum of the paid offers under pay-as-bid,
        (N, T).
    production_cost
        Short-run cost of all that ran, $, (N, T).
    all_prices, all_quantities
        Every agent's offer, $/MWh and MW, (N, T, A).
    """

    hour: NDArray[np.float64]
    demand: NDArray[np.float64]
    unserved: NDArray[np.float64]
    price: NDArray[np.float64]
    srmc: NDArray[np.float64]
    offer_price: NDArray[np.float64]
    offer_mw: NDArray[np.float64]
    dispatch: NDArray[np.float64]
    profit: NDArray[np.float64]
    reward: NDArray[np.float64]
    consumer_cost: NDArray[np.float64]
    production_cost: NDArray[np.float64]
    all_prices: NDArray[np.float64]
    all_quantities: NDArray[np.float64]

    @classmethod
    def stack(cls, hours: Sequence[Play]) -> Play:
        """Join single hours, arrays (N, ...), into episodes, arrays (N, T, ...)."""
        return cls(*(np.stack([getattr(h, f.name) for h in hours], axis=1) for f in fields(cls)))

    @classmethod
    def concatenate(cls, parts: Sequence[Play]) -> Play:
        """Join plays of different episodes into one."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def play(episodes: Episodes, policy: Policy) -> Play:
    """Play a policy through the episodes, one environment each.

    Parameters
    ----------
    episodes
        What is played.
    policy
        Called once per hour with the learner's observations (N, F), float32.

    Returns
    -------
    Play
        Arrays (N, T).
    """
    batch, observations = episodes.start()
    everyone = np.arange(len(episodes))
    hours = []
    for _ in range(episodes.scenario.horizon):
        observations = batch.step(np.asarray(policy(observations), dtype=np.float32))
        hours.append(batch.read(everyone))
    return Play.stack(hours)


def truthful(observations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Offer everything at SRMC."""
    return np.zeros((len(observations), 2), dtype=np.float32)


class Batch:
    """A batch of markets whose last hour can be read, whole or in part.

    Attributes
    ----------
    profit, reward
        The learner's profit, $, and reward of the last hour, (E,) for E environments; live.
    """

    def __init__(self, env: MarketVectorEnv, learner: int) -> None:
        self._env = env
        self._engine = env.engine
        self._engine.keep_offers()
        self._learner = learner
        self._pay_as_bid = env.scenario.rules.pricing == "pay_as_bid"
        _, self._srmc = self._engine.fleet()  # drawn at the reset, (E, A)
        self.profit: NDArray[np.float64] = self._engine.profits[:, learner]
        self.reward: NDArray[np.float32] = np.zeros(env.num_envs, np.float32)

    def step(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Play one hour; return the next observations."""
        self._hour = self._engine.clock()[1]
        observations, self.reward, _, _, _ = self._env.step(actions)
        return observations

    def read(self, rows: NDArray[np.intp]) -> Play:
        """Return the last hour of the named environments, arrays (len(rows), ...)."""
        engine, me = self._engine, self._learner
        prices, quantities = (offers[rows] for offers in engine.offers())
        price, dispatch, srmc = engine.prices[rows], engine.dispatch[rows], self._srmc[rows]
        paid = prices if self._pay_as_bid else price[:, None]  # to each unit, $/MWh
        return Play(
            hour=self._hour[rows].astype(np.float64),
            demand=engine.demand[rows],
            unserved=engine.unserved[rows],
            price=price,
            srmc=srmc[:, me],
            offer_price=prices[:, me],
            offer_mw=quantities[:, me],
            dispatch=dispatch[:, me],
            profit=self.profit[rows],
            reward=self.reward[rows].astype(np.float64),
            consumer_cost=(paid * dispatch).sum(axis=1),
            production_cost=(srmc * dispatch).sum(axis=1),
            all_prices=prices,
            all_quantities=quantities,
        )
