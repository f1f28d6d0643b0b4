"""Play one way of bidding on fixed episodes, and keep what happened in every hour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vecmarket.checks import action_array, whole_number
from vecmarket.envs import MarketVectorEnv
from vecmarket.evaluation.randomness import evaluation_seeds
from vecmarket.policies import MlpPolicy, refuse_module
from vecmarket.scenarios.days import evaluation_days
from vecmarket.scenarios.randomness import draws_anything

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecmarket.config import Scenario

__all__ = ["Episodes", "Play", "Policy", "play", "truthful"]

DRAWS = 512
"""Episodes of a scenario with one window of random demand: 4 % of an episode's spread remain in the mean."""

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

    @classmethod
    def fixed(
        cls,
        scenario: Scenario,
        learner: int = 0,
        rivals: Any = None,
        *,
        days: Sequence[int] | None = None,
        episodes: int | None = None,
        seed: int = 0,
    ) -> Episodes:
        """Return the episodes that every evaluation of a scenario plays; see `evaluate` for the arguments.

        Raises
        ------
        ValueError
            When there is no day or episode, a day cannot hold an episode, or the seed is negative.
        TypeError
            When a day, `episodes` or `seed` is no whole number.
        """
        chosen = evaluation_days(scenario) if days is None else _as_days(scenario, days)
        if episodes is None:
            episodes = DRAWS if len(chosen) == 1 and draws_anything(scenario) else len(chosen)
        episodes = whole_number("episodes", episodes, least=1)
        return cls(
            scenario=scenario,
            learner=learner,
            rivals=rivals,
            days=tuple(chosen[i % len(chosen)] for i in range(episodes)),
            seeds=tuple(evaluation_seeds(episodes, seed)),
        )

    def __len__(self) -> int:
        return len(self.days)

    def start(
        self, copies: int = 1, part: slice = slice(None), *, offers: bool = True
    ) -> tuple[Batch, NDArray[np.float32]]:
        """Return a batch at the first hour of the episodes, each `copies` times over, and what it sees.

        Its hours can be read only where it keeps `offers`.
        """
        days, seeds = (
            np.repeat(self.days[part], copies),
            np.repeat(np.array(self.seeds[part], object), copies),
        )
        env = MarketVectorEnv(
            len(days), self.scenario, learner=self.learner, rivals=self.rivals, autoreset_mode="disabled"
        )
        observations, _ = env.reset(seed=seeds.tolist(), options={"start": days * 24})
        if offers:
            env.engine.keep_offers()
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
    paid
        What the learner is paid, $/MWh, (N, T): the price, or its own offer under pay-as-bid.
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
    paid: NDArray[np.float64]
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

    Raises
    ------
    ValueError
        When the policy draws its actions, or those that it returns have the wrong shape or are not finite.
    TypeError
        When the policy is a torch module or no function, or its actions are not real numbers.
    """
    check_policy("policy", policy)
    batch, observations = episodes.start()
    check_features("policy", policy, observations)
    everyone = np.arange(len(episodes))
    hours = []
    for t in range(episodes.scenario.horizon):
        actions = action_array(f"policy, step {t}", policy(observations), (len(episodes), 2))
        observations = batch.step(actions)
        hours.append(batch.read(everyone))
    return Play.stack(hours)


def truthful(observations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Offer everything at SRMC."""
    return np.zeros((len(observations), 2), dtype=np.float32)


def check_policy(where: str, policy: Policy) -> None:
    """Refuse what is called as a policy but would be judged as something else, or as nothing.

    Raises
    ------
    ValueError
        When it draws its actions: called, it gives the mean.
    TypeError
        When it is a torch module, or nothing that can be called.
    """
    refuse_module(where, policy)
    if not callable(policy):
        kind = type(policy).__name__
        raise TypeError(f"{where}: must be a function of observations (N, F) to actions (N, 2), got {kind}")
    if isinstance(policy, MlpPolicy) and policy.sampled:
        raise ValueError(
            f"{where}: draws its actions, but only a function of what is observed can be judged; "
            "policy.deterministic() plays its mean"
        )


def check_features(where: str, policy: Policy, observations: NDArray[np.float32]) -> None:
    """Refuse a network that takes other observations (N, F) than those that it is shown.

    Raises
    ------
    ValueError
        When it takes another number of features.
    """
    shown = observations.shape[1]
    if isinstance(policy, MlpPolicy) and policy.num_features != shown:
        raise ValueError(f"{where}: takes {policy.num_features} features, the scenario shows {shown}")


def _as_days(scenario: Scenario, days: Sequence[int]) -> tuple[int, ...]:
    last = (len(scenario.demand.series_mw) - scenario.horizon) // 24
    chosen = tuple(whole_number(f"days[{i}]", day, least=0) for i, day in enumerate(days))
    if not chosen:
        raise ValueError("days: must name at least one day")
    for i, day in enumerate(chosen):
        if day > last:
            raise ValueError(f"days[{i}]: must be in 0..{last} to hold an episode, got {day}")
    return chosen


class Batch:
    """A batch of markets whose last hour can be read, whole or in part.

    Attributes
    ----------
    engine
        The engine that plays; its arrays are live.
    hour
        Hour of the series that the last step cleared, (E,) for E environments.
    capacities, srmc
        The fleet of each episode, MW and $/MWh, (E, A).
    profit, reward
        The learner's profit, $, and reward of the last hour, (E,); live.
    """

    def __init__(self, env: MarketVectorEnv, learner: int) -> None:
        self._env = env
        self.engine = env.engine
        self._learner = learner
        self._pay_as_bid = env.scenario.rules.pricing == "pay_as_bid"
        self.capacities, self.srmc = self.engine.fleet()  # drawn at the reset
        self.hour: NDArray[np.int64] = self.engine.clock()[1]
        self.profit: NDArray[np.float64] = self.engine.profits[:, learner]
        self.reward: NDArray[np.float32] = np.zeros(env.num_envs, np.float32)

    def step(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Play one hour; return the next observations."""
        self.hour = self.engine.clock()[1]
        observations, self.reward, _, _, _ = self._env.step(actions)
        return observations

    def read(self, rows: NDArray[np.intp]) -> Play:
        """Return the last hour of the named environments, arrays (len(rows), ...)."""
        engine, me = self.engine, self._learner
        prices, quantities = (offers[rows] for offers in engine.offers())
        price, dispatch, srmc = engine.prices[rows], engine.dispatch[rows], self.srmc[rows]
        paid = prices if self._pay_as_bid else price[:, None]  # to each unit, $/MWh
        return Play(
            hour=self.hour[rows].astype(np.float64),
            demand=engine.demand[rows],
            unserved=engine.unserved[rows],
            price=price,
            srmc=srmc[:, me],
            offer_price=prices[:, me],
            paid=prices[:, me] if self._pay_as_bid else price,
            offer_mw=quantities[:, me],
            dispatch=dispatch[:, me],
            profit=self.profit[rows],
            reward=self.reward[rows].astype(np.float64),
            consumer_cost=(paid * dispatch).sum(axis=1),
            production_cost=(srmc * dispatch).sum(axis=1),
            all_prices=prices,
            all_quantities=quantities,
        )
