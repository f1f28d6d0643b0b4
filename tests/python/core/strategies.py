"""Hypothesis strategies that produce ties, exact kinks, shortage and every other corner on purpose.

Prices and quantities are small whole numbers, so that equal prices are common and sums are exact; many
demands are a sum of the cheapest offers, so that supply meets demand exactly at the end of a unit.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import vecmarket as vm
from core.scenes import EVERYTHING_SEEN
from vecmarket import _core

Floats = NDArray[np.float64]

NAMES = _core.names()
LOWEST, HIGHEST = -5.0, 12.0  # $/MWh: bounds of the whole-number offers

st_seed = st.integers(0, 2**64 - 1)


@dataclass(frozen=True)
class Offers:
    """Markets with the same rules: prices and quantities (N, G), demand (N,)."""

    prices: Floats
    quantities: Floats
    demand: Floats
    rules: vm.MarketRules

    def under(self, **changes: Any) -> Offers:
        """Return the same offers under rules with some fields changed."""
        return dataclasses.replace(self, rules=dataclasses.replace(self.rules, **changes))


@dataclass(frozen=True)
class Rows:
    """What N markets came to, as arrays."""

    price: Floats  # (N,)
    dispatch: Floats  # (N, G)
    unserved: Floats  # (N,)
    curtailed: Floats  # (N,)
    marginal: NDArray[np.int64]  # (N,)


def clear_rows(market: Offers, seed: int = 0) -> Rows:
    """Clear every market of a batch with `vm.clear`."""
    result = vm.clear(market.prices, market.quantities, market.demand, rules=market.rules, seed=seed)
    return Rows(
        price=np.asarray(result.price),
        dispatch=result.dispatch,
        unserved=np.asarray(result.unserved),
        curtailed=np.asarray(result.curtailed),
        marginal=np.asarray(result.marginal),
    )


@st.composite
def rules(
    draw: st.DrawFn, floors: st.SearchStrategy[vm.Number], caps: st.SearchStrategy[vm.Number]
) -> vm.MarketRules:
    """Return any combination of rules, with bounds from the given ones or, where the rules allow it, none."""
    scarcity = draw(st.sampled_from(NAMES["scarcity"]))
    return vm.MarketRules(
        pricing=draw(st.sampled_from(NAMES["pricing"])),
        kink=draw(st.sampled_from(NAMES["kink"])),
        scarcity=scarcity,
        tie_break=draw(st.sampled_from(NAMES["tie_break"])),
        price_floor=draw(st.none() | floors),
        price_cap=draw(caps if scarcity == "cap" else st.none() | caps),
    )


def merit_order_sums(prices: Floats, quantities: Floats) -> Floats:
    """Return the cumulative supply of one market in merit order, shape (G,)."""
    return np.cumsum(quantities[np.argsort(prices, kind="stable")])


@st.composite
def offers(draw: st.DrawFn, *, max_generators: int = 200, max_markets: int = 4) -> Offers:
    """Return up to `max_markets` whole-number markets; sizes are mostly small, sometimes large."""
    size = draw(st.integers(1, min(6, max_generators)) | st.integers(1, max_generators))
    count = draw(st.integers(1, max_markets))
    levels = draw(st.integers(1, int(HIGHEST - LOWEST)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    highest = int(LOWEST) + levels
    prices = random.integers(int(LOWEST), highest, size=(count, size), endpoint=True).astype(np.float64)
    quantities = random.integers(0, draw(st.integers(0, 9)), size=(count, size), endpoint=True).astype(
        np.float64
    )
    demand = np.array([draw(demands(prices[n], quantities[n])) for n in range(count)])
    # The bounds of the price admit every offer.
    floors, caps = st.sampled_from((LOWEST, LOWEST - 10.0)), st.sampled_from((HIGHEST, HIGHEST + 10.0))
    return Offers(prices, quantities, demand, draw(rules(floors, caps)))


@st.composite
def demands(draw: st.DrawFn, prices: Floats, quantities: Floats) -> float:
    """Return a demand for one market: at a unit's end, inside a unit, short, zero or negative."""
    sums = merit_order_sums(prices, quantities)
    total = float(sums[-1])
    kind = draw(st.sampled_from(("kink", "kink", "inside", "short", "zero", "negative", "near")))
    if kind == "kink":
        return float(sums[draw(st.integers(0, len(sums) - 1))])
    if kind == "near":  # on both sides of the tolerance of reaching demand
        off = draw(st.sampled_from((-2.0, -0.5, 0.5, 2.0))) * 1e-9
        place = float(sums[draw(st.integers(0, len(sums) - 1))])
        return place + off * max(1.0, place)
    if kind == "inside":
        return float(draw(st.integers(0, max(1, 2 * int(total))))) / 2
    if kind == "short":
        return total + draw(st.integers(1, 5))
    return 0.0 if kind == "zero" else -float(draw(st.integers(1, 5)))


# Whole scenarios

FEATURES = (*EVERYTHING_SEEN, "demand_forecast:1", "demand_forecast:5")


def whole(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(float)


@st.composite
def numbers(draw: st.DrawFn, low: int, high: int, *, fixed: bool = False) -> vm.Number:
    """Return a scenario number with values in [low, high]: mostly fixed, otherwise a distribution."""
    kind = "fixed" if fixed else draw(st.sampled_from(("fixed", "fixed", "uniform", "normal", "choice")))
    a, b = sorted((draw(whole(low, high)), draw(whole(low, high))))
    if kind == "uniform":
        return vm.Uniform(a, b)
    if kind == "normal":
        return vm.Normal(draw(whole(low - 1, high + 1)), draw(st.sampled_from((0.0, 0.5, 3.0))), a, b)
    if kind == "choice":
        return vm.Choice(tuple(draw(st.lists(whole(low, high), min_size=1, max_size=3))))
    return a


@st.composite
def observations(draw: st.DrawFn, count: int) -> str | tuple[str, ...]:
    if draw(st.booleans()):
        return draw(st.sampled_from(NAMES["observation_presets"]))
    features = draw(st.lists(st.sampled_from(FEATURES), min_size=1, max_size=6, unique=True))
    # A single generator has no rivals to see.
    return (*features, "hour") if count == 1 and "hour" not in features else tuple(features)


@st.composite
def scenarios(draw: st.DrawFn, *, max_generators: int = 8) -> vm.Scenario:
    """Return any legal scenario: distributions, noise, windows of a longer series, availability, rules."""
    count = draw(st.integers(1, max_generators))
    horizon = draw(st.integers(1, 12))
    length = horizon + draw(st.sampled_from((0, 0, 1, 24, 60)))
    fixed = draw(st.booleans())
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    same_cost = draw(st.booleans())

    def availability() -> float | tuple[float, ...]:
        kind = draw(st.sampled_from(("full", "full", "constant", "series")))
        if kind == "series":
            return tuple(random.choice([0.0, 0.25, 0.5, 1.0], size=length).tolist())
        return 1.0 if kind == "full" else 0.5

    common = draw(numbers(LOWEST_COST, HIGHEST_COST, fixed=True))
    generators = tuple(
        vm.Generator(
            capacity_mw=draw(st.sampled_from((0.0, 4.0, 8.0, 8.0)) | numbers(0, 12, fixed=fixed)),
            srmc=common if same_cost else draw(numbers(LOWEST_COST, HIGHEST_COST, fixed=fixed)),
            availability=availability(),
        )
        for _ in range(count)
    )
    return vm.Scenario(
        generators=generators,
        demand=draw(demand_series(generators, length, fixed, random)),
        horizon=horizon,
        rules=draw(rules(numbers(-20, 5, fixed=fixed), numbers(5, 40, fixed=fixed))),
        bidding=vm.Bidding(max_bid_delta=draw(numbers(1, 60, fixed=fixed))),
        reward=draw(rewards(fixed)),
        observation=draw(observations(count)),
        episode_end=draw(st.sampled_from(("terminate", "truncate"))),
        **draw(starts(length, horizon)),
    )


LOWEST_COST, HIGHEST_COST = -3, 20


@st.composite
def demand_series(
    draw: st.DrawFn,
    generators: tuple[vm.Generator, ...],
    length: int,
    fixed: bool,
    random: np.random.Generator,
) -> vm.Demand:
    """Return a whole-number series; with noise it stays below what the smallest fleet can serve."""
    noisy = draw(st.booleans())
    smallest = int(sum(smallest_of(g.capacity_mw) for g in generators))
    factor: vm.Number = 1.0
    noise: vm.Number = 0.0
    if noisy:
        noises: tuple[vm.Number, ...] = (0.05, 0.5, vm.Uniform(0.0, 0.4), vm.Choice((0.0, 0.1)))
        noise = draw(st.sampled_from(noises))
        highest = draw(st.sampled_from((smallest // 2, smallest)))
    else:
        factor = draw(st.just(1.0) | numbers(0, 3, fixed=fixed))
        highest = smallest + draw(st.integers(-9, 9))
    lowest = min(highest, draw(st.sampled_from((-4, 1, 1, highest // 2))))
    # Half of the series move in steps of 4 MW, as many capacities do: supply often meets them exactly.
    grain = draw(st.sampled_from((1, 4)))
    series = grain * random.integers(lowest // grain, highest // grain, size=length, endpoint=True)
    first_hour = draw(st.integers(0, 167))
    return vm.Demand(tuple(series.tolist()), noise=noise, factor=factor, first_hour=first_hour)


def smallest_of(number: vm.Number) -> float:
    if isinstance(number, vm.Uniform | vm.Normal):
        return number.low
    if isinstance(number, vm.Choice):
        return min(number.values)
    return number


@st.composite
def rewards(draw: st.DrawFn, fixed: bool) -> vm.Reward:
    scales: tuple[float | str, ...] = ("seed", 1.0, 0.5)
    return vm.Reward(
        bid_penalty=draw(st.sampled_from((0.01, 0.0)) | numbers(0, 2, fixed=fixed)),
        unserved_penalty=draw(st.sampled_from((1.0, 0.0)) | numbers(0, 2, fixed=fixed)),
        scale=draw(st.sampled_from(scales)),
    )


@st.composite
def starts(draw: st.DrawFn, length: int, horizon: int) -> dict[str, Any]:
    """Return `episode_start` and `days` such that at least one start is eligible."""
    kind = draw(st.sampled_from(("first", "random", "random_day")))
    eligible = range((length - horizon) // 24 + 1)
    days = draw(st.none() | st.sets(st.sampled_from(eligible), min_size=1).map(lambda d: tuple(sorted(d))))
    return {"episode_start": kind, "days": days}


def random_actions(random: np.random.Generator, steps: int, envs: int, agents: int) -> NDArray[np.float32]:
    """Return actions that tie often: shares in quarters, price parameters mostly 0 or at the ends."""
    actions = np.empty((steps, envs, agents, 2), dtype=np.float32)
    shape = (steps, envs, agents)
    actions[..., 0] = random.choice([-1.0, 0.0, 0.0, 0.0, 0.25, 0.5, 1.0, 2.0], size=shape)
    actions[..., 1] = random.choice([-20.0, -10.0, -0.5, 0.0, 0.0, 0.0, 0.3, 10.0, 12.0], size=shape)
    free = random.random(size=shape) < 0.2
    actions[free, 1] = random.normal(size=int(free.sum())).astype(np.float32)
    return actions
