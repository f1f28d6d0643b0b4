"""One environment, played in the order of ``docs/market.md`` section 2.

bids -> clearing -> settlement -> reward -> clock -> observation
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oracle import rng
from oracle.clearing import Cleared, clear
from oracle.observations import PRESETS, observe
from oracle.rng import Draws, largest
from vecmarket.config import Number, Scenario

# A reward is scale * sum(weight * term): profit_i, b_i - c_i and unserved -> $.
Term = Callable[[float, float, float], float]
REWARD_TERMS: dict[str, Term] = {
    "profit": lambda profit, markup, unserved: profit,
    "bid_penalty": lambda profit, markup, unserved: -(markup**2),
    "unserved_penalty": lambda profit, markup, unserved: -unserved,
}


@dataclass(frozen=True)
class Step:
    """Everything one step shows; G generators, F features."""

    observations: NDArray[np.float32]  # (G, F)
    rewards: NDArray[np.float32]  # (G,)
    terminated: bool
    truncated: bool
    demand: float
    offer_prices: NDArray[np.float64]  # (G,)
    offer_quantities: NDArray[np.float64]  # (G,)
    cleared: Cleared
    profits: NDArray[np.float64]  # (G,)


class Market:
    """One market; `seed` is this environment's own, `seats` say who acts (None: everybody)."""

    def __init__(self, scenario: Scenario, seed: int = 0, seats: Sequence[str | float] | None = None) -> None:
        self.scenario = scenario
        self.seats = ["acts"] * len(scenario.generators) if seats is None else list(seats)
        self.seed = seed
        self.episode = -1
        self.series = [float(d) for d in scenario.demand.series_mw]
        self.features = (
            PRESETS[scenario.observation] if isinstance(scenario.observation, str) else scenario.observation
        )
        self.demand_scale = positive_or_one(max(d * largest(scenario.demand.factor) for d in self.series))
        self.capacity_scale = positive_or_one(max(largest(g.capacity_mw) for g in scenario.generators))
        self.cost_scale = positive_or_one(max(largest(g.srmc) for g in scenario.generators))
        if scenario.reward.scale == "seed":
            self.reward_scale = 20 / (self.demand_scale * self.cost_scale * max(1, scenario.horizon))
        else:
            self.reward_scale = float(scenario.reward.scale)

    # Reset

    def reset(self, seed: int | None = None, start: int | None = None) -> NDArray[np.float32]:
        """Begin episode 0 of a seed, or the next episode of the seed that is playing."""
        if seed is None:
            self.episode += 1
        else:
            self.seed = seed
            self.episode = 0
        self.draws = Draws(self.seed, self.episode)
        self.draw_parameters()
        self.t = 0
        self.start = self.draw_start() if start is None else start
        count = len(self.capacities)
        self.last_price = 0.0
        self.last_dispatch = np.zeros(count)
        self.last_offer_prices = np.zeros(count)
        self.last_offer_quantities = np.zeros(count)
        return observe(self)

    def draw_parameters(self) -> None:
        scenario = self.scenario
        generators = scenario.generators
        count = len(generators)
        number = self.draws.number

        def optional(value: Number | None, slot: int) -> float | None:
            return None if value is None else number(value, slot)

        self.capacities = [number(g.capacity_mw, i) for i, g in enumerate(generators)]
        self.srmc = [number(g.srmc, count + i) for i, g in enumerate(generators)]
        knob = 2 * count
        self.noise = number(scenario.demand.noise, knob)
        self.factor = number(scenario.demand.factor, knob + 1)
        self.max_bid_delta = number(scenario.bidding.max_bid_delta, knob + 2)
        self.floor = optional(scenario.rules.price_floor, knob + 3)
        self.cap = optional(scenario.rules.price_cap, knob + 4)
        weights: dict[str, Number] = {
            "profit": 1.0,
            "bid_penalty": scenario.reward.bid_penalty,
            "unserved_penalty": scenario.reward.unserved_penalty,
            **scenario.reward.terms,
        }
        self.base = [d * self.factor for d in self.series]
        self.lowest, self.highest = min(self.base), max(self.base)
        self.weights = {name: number(weights[name], knob + 5 + k) for k, name in enumerate(REWARD_TERMS)}

    def draw_start(self) -> int:
        scenario = self.scenario
        length, horizon, days = len(self.series), scenario.horizon, scenario.days

        def allowed(hour: int) -> bool:
            return hour + horizon <= length and (days is None or hour // 24 in days)

        if scenario.episode_start == "random":
            starts = [hour for hour in range(length) if allowed(hour)]
        else:
            starts = [hour for hour in range(0, length, 24) if allowed(hour)]
        if scenario.episode_start == "first":
            return starts[0]
        return starts[self.draws.below(len(starts), rng.EPISODE_START)]

    # One step

    def step(self, actions: ArrayLike) -> Step:
        """Play one hour; `actions` has shape (G, 2), the rows of agents that do not act are not looked at."""
        count = len(self.capacities)
        demand = self.demand()
        prices, quantities = self.bids(np.asarray(actions, dtype=np.float64))

        rules = self.scenario.rules
        cleared = clear(
            prices,
            quantities,
            demand,
            pricing=rules.pricing,
            kink=rules.kink,
            scarcity=rules.scarcity,
            tie_break=rules.tie_break,
            floor=self.floor,
            cap=self.cap,
            tie_words=self.draws.ties(self.t, count) if rules.tie_break == "random" else None,
        )

        profits = np.zeros(count)
        for i in range(count):
            paid = cleared.price if rules.pricing == "uniform" else prices[i]
            profits[i] = paid * cleared.dispatch[i] - self.srmc[i] * cleared.dispatch[i]

        rewards = np.zeros(count)
        for i in range(count):
            markup = prices[i] - self.srmc[i]
            total = 0.0
            for name, term in REWARD_TERMS.items():
                total += self.weights[name] * term(profits[i], markup, cleared.unserved)
            rewards[i] = self.reward_scale * total

        self.t += 1
        finished = self.t == self.scenario.horizon

        self.last_price = cleared.price
        self.last_dispatch = cleared.dispatch
        self.last_offer_prices = np.array(prices)
        self.last_offer_quantities = np.array(quantities)
        return Step(
            observations=observe(self),
            rewards=rewards.astype(np.float32),
            terminated=finished and self.scenario.episode_end == "terminate",
            truncated=finished and self.scenario.episode_end == "truncate",
            demand=demand,
            offer_prices=self.last_offer_prices,
            offer_quantities=self.last_offer_quantities,
            cleared=cleared,
            profits=profits,
        )

    def bids(self, actions: NDArray[np.float64]) -> tuple[list[float], list[float]]:
        prices = []
        quantities = []
        for i, seat in enumerate(self.seats):
            withheld = 0.0
            markup = 0.0
            if seat == "acts":
                withheld = min(max(actions[i, 0], 0.0), 1.0)
                markup = math.tanh(min(max(actions[i, 1], -10.0), 10.0)) * self.max_bid_delta
            elif seat != "truthful":
                markup = float(seat)
            prices.append(self.within_bounds(self.srmc[i] + markup))
            quantities.append((1.0 - withheld) * self.capacities[i] * self.availability(i))
        return prices, quantities

    def within_bounds(self, price: float) -> float:
        if self.floor is not None:
            price = max(price, self.floor)
        if self.cap is not None:
            price = min(price, self.cap)
        return price

    # The series

    def hour(self, ahead: int = 0) -> int:
        """Return the hour of the series that is playing, the last one after its end."""
        return min(self.start + self.t + ahead, len(self.series) - 1)

    def availability(self, i: int) -> float:
        given = self.scenario.generators[i].availability
        return given[self.hour()] if isinstance(given, tuple) else float(given)

    def base_demand(self, ahead: int = 0) -> float:
        return self.base[self.hour(ahead)]

    def demand(self) -> float:
        down = 0.5 * max(0.0, self.lowest)
        up = 0.5 * max(0.0, sum(self.capacities) - self.highest)
        drawn = self.draws.normal(rng.DEMAND_NOISE, step=self.hour() - self.start)
        noise = drawn * self.noise * self.demand_scale
        return self.base_demand() + min(max(noise, -down), up)


def positive_or_one(value: float) -> float:
    return value if value > 0.0 else 1.0
