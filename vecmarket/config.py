"""What a user writes: frozen dataclasses that describe a market game.

They hold plain values only. `Scenario` is checked by the engine's own compiler when it is made, so that a
bad number is named with its place (``generators[3].capacity_mw``) before anything is built from it. The
names of rules, features and reward terms are the engine's; ``vecmarket info`` lists them.

Units: MW, MWh, $/MWh and $; one step is one hour.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, TypeAlias

import numpy as np

from vecmarket import _core

__all__ = [
    "Bidding",
    "Choice",
    "Demand",
    "Generator",
    "MarketRules",
    "Normal",
    "Number",
    "Reward",
    "Scenario",
    "Uniform",
]


@dataclass(frozen=True)
class Uniform:
    """A number drawn uniformly from [low, high), per environment and episode."""

    low: float
    high: float


@dataclass(frozen=True)
class Normal:
    """A number drawn from a normal distribution and clipped to [low, high], per environment and episode."""

    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """A number drawn with equal chances from `values`, per environment and episode."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _floats(self.values))


Number: TypeAlias = float | Uniform | Normal | Choice
"""A plain number, or a distribution from which every environment draws one at each reset."""


@dataclass(frozen=True)
class Generator:
    """One generating unit, and the agent that bids for it.

    Attributes
    ----------
    capacity_mw
        Capacity K, MW, at least 0.
    srmc
        Short-run marginal cost c, $/MWh. May be negative.
    name
        Name of the agent; a scenario names the nameless ``G0``, ``G1``, ... by their place.
    availability
        Share of the capacity that can be offered, in [0, 1]: a number, or one per hour of the demand series.
    """

    capacity_mw: Number
    srmc: Number
    name: str = ""
    availability: float | tuple[float, ...] = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.availability, float | int):
            object.__setattr__(self, "availability", _floats(self.availability))


@dataclass(frozen=True)
class Demand:
    """The demand series, and how it varies between episodes.

    Attributes
    ----------
    series_mw
        Base demand of every hour, MW, shape (L,). May be zero or negative (net of renewables).
    noise
        Standard deviation of the hourly noise as a share of the largest base demand; 0 is off. The noise
        is clipped to half of the smallest base demand downwards and to half of the room below the fleet's
        capacity upwards, over the whole series: one hour near zero, or a peak near capacity, bounds it for
        all hours and shifts its mean. See section 3 of ``docs/market.md``.
    factor
        Multiplies the whole series (useful as a distribution).
    first_hour
        Hour of the week of ``series_mw[0]``, 0 = Monday 00:00. The time features count from it.
    """

    series_mw: tuple[float, ...]
    noise: Number = 0.0
    factor: Number = 1.0
    first_hour: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "series_mw", _floats(self.series_mw))


@dataclass(frozen=True)
class MarketRules:
    """How a market clears and who is paid what; see section 1 of ``docs/market.md``.

    Attributes
    ----------
    pricing
        ``"uniform"`` (pay-as-clear) or ``"pay_as_bid"``.
    kink
        Price when supply meets demand exactly at a unit's end: ``"lower"``, ``"upper"`` or ``"mid"``.
    scarcity
        Price in shortage: ``"last_offer"`` or ``"cap"`` (needs `price_cap`).
    tie_break
        Who runs among equal offers at the margin: ``"pro_rata"``, ``"index"`` or ``"random"``.
    price_floor, price_cap
        Bounds of the offer prices, $/MWh; None for none.
    """

    pricing: str = "uniform"
    kink: str = "lower"
    scarcity: str = "last_offer"
    tie_break: str = "pro_rata"
    price_floor: Number | None = None
    price_cap: Number | None = None


@dataclass(frozen=True)
class Bidding:
    """How an action becomes an offer.

    ``"withhold_and_markup"``: the action (a0, a1) offers ``(1 - clip(a0, 0, 1)) * capacity * availability``
    at ``srmc + tanh(a1) * max_bid_delta``.
    """

    rule: str = "withhold_and_markup"
    max_bid_delta: Number = 50.0


@dataclass(frozen=True)
class Reward:
    """The reward of an agent: ``scale * sum(weight * term)``.

    Attributes
    ----------
    bid_penalty
        Weight of ``(offer price - srmc)**2``, subtracted.
    unserved_penalty
        Weight of the market's unserved energy, MWh, subtracted.
    scale
        ``"seed"``: ``20 / (max demand * max srmc * max(1, horizon))``; or a number (1.0 pays plain $).
    terms
        Weights of further terms by name, or another weight for ``"profit"``, which counts 1 unless given.

    Raises
    ------
    ValueError
        When `terms` names a term that has a field of its own.
    """

    bid_penalty: Number = 0.01
    unserved_penalty: Number = 1.0
    scale: float | str = "seed"
    terms: Mapping[str, Number] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.terms, Mapping):
            for own in dataclasses.fields(self):
                if own.name in self.terms:
                    raise ValueError(f"reward.terms[{own.name!r}]: set the field reward.{own.name} instead")

    def __hash__(self) -> int:
        return hash((self.bid_penalty, self.unserved_penalty, self.scale, tuple(sorted(self.terms))))


@dataclass(frozen=True)
class Scenario:
    """A market game: who sells, what is bought, by which rules, and what the agents see and earn.

    Attributes
    ----------
    generators
        The fleet; agent i bids for ``generators[i]``. At least one.
    demand
        The demand series.
    horizon
        Steps in one episode, T.
    rules, bidding, reward
        The market's rules, the bidding rule and the reward.
    observation
        Name of a preset such as ``"simple_v3"``, or a tuple of feature names; ``vecmarket info`` lists them.
    episode_end
        ``"terminate"`` (a true finite horizon) or ``"truncate"`` (a window cut from a longer series).
    episode_start
        Where in the series an episode starts: ``"first"`` hour, a ``"random"`` hour or a ``"random_day"``.
    days
        Days of the series (0 = the first) on which episodes may start; None for all.
    name
        A label for tables and logs.

    Raises
    ------
    ValueError, TypeError
        When a field cannot be used; the message names the field.
    """

    generators: tuple[Generator, ...]
    demand: Demand
    horizon: int = 24
    rules: MarketRules = MarketRules()
    bidding: Bidding = Bidding()
    reward: Reward = field(default_factory=Reward)
    observation: str | tuple[str, ...] = "simple_v3"
    episode_end: str = "terminate"
    episode_start: str = "first"
    days: tuple[int, ...] | None = None
    name: str = "custom"

    def __post_init__(self) -> None:
        generators = self.generators
        if isinstance(generators, Iterable) and all(isinstance(g, Generator) for g in generators):
            named = tuple(
                dataclasses.replace(g, name=f"G{i}") if g.name == "" else g for i, g in enumerate(generators)
            )
            object.__setattr__(self, "generators", named)
        object.__setattr__(self, "observation", _tuple(self.observation))
        object.__setattr__(self, "days", _tuple(self.days))
        _core.check_scenario(self)

    def replace(self, **changes: Any) -> Scenario:
        """Return a copy with some fields changed, checked anew."""
        return dataclasses.replace(self, **changes)

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the agents, in their order."""
        return tuple(g.name for g in self.generators)

    def agent_index(self, agent: int | str) -> int:
        """Return the place of an agent given by place or name.

        Raises
        ------
        ValueError
            When there is no such agent; the message lists the legal names or places.
        TypeError
            When it is neither a whole number nor text.
        """
        if isinstance(agent, str):
            if agent not in self.agents:
                raise ValueError(f"agent: unknown name {agent!r}; the agents are {_some(self.agents)}")
            return self.agents.index(agent)
        try:
            index = operator.index(agent)
        except TypeError:
            raise TypeError(f"agent: must be a place or a name, got {agent!r}") from None
        if not 0 <= index < len(self.generators):
            raise ValueError(f"agent: must be in 0..{len(self.generators) - 1}, got {agent}")
        return index

    @classmethod
    def default(cls, n_generators: int = 5, horizon: int = 24) -> Scenario:
        """Return G equal generators, costs from 20 to 40 $/MWh, under a sine of demand."""
        from vecmarket.scenarios.builtin import default

        return default(n_generators, horizon)

    @classmethod
    def competitive(cls, n_generators: int = 8, horizon: int = 24) -> Scenario:
        """Return a fleet of cost pairs in which no firm is pivotal."""
        from vecmarket.scenarios.builtin import competitive

        return competitive(n_generators, horizon)

    @classmethod
    def ieee_rts(cls, **options: Any) -> Scenario:
        """Return the IEEE Reliability Test System 1979; options as for ``scenarios.ieee_rts.ieee_rts``."""
        from vecmarket.scenarios.ieee_rts import ieee_rts

        return ieee_rts(**options)

    @classmethod
    def from_csv(cls, fleet: str | PathLike[str], demand: str | PathLike[str], **options: Any) -> Scenario:
        """Read any fleet from tables; columns and options as for ``scenarios.tables.from_csv``."""
        from vecmarket.scenarios.tables import from_csv

        return from_csv(fleet, demand, **options)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Scenario:
        """Read a scenario from a TOML file that `save` wrote or a person did."""
        from vecmarket.scenarios.toml import load

        return load(path)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the scenario as a TOML file, beside and renamed, so that no half file is ever seen."""
        from vecmarket.scenarios.toml import save

        save(self, path)


def _floats(values: Any) -> Any:
    """Return a 1-d series as plain floats; anything else as it is, for the compiler to refuse."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return values
    return tuple(array.tolist()) if array.ndim == 1 else values


def _tuple(values: Any) -> Any:
    """Return any sequence but a string as a tuple; anything else as it is, for the compiler to refuse."""
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else values


def _some(names: Sequence[str], most: int = 40) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")
