"""The figures of a market under a profile, over all hours and by hour of the day, as economists report them.

Every figure is a ratio of sums over the hours of its group, so that the figures of the groups and of the
whole fit together. `docs/evaluation.md` has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecmarket.evaluation.exploitability import ProfileEvaluation
    from vecmarket.evaluation.markets import MarketPlay

__all__ = ["AGENT_FIGURES", "MARKET_FIGURES", "Figure", "Figures", "figures_of"]


@dataclass(frozen=True)
class Figure:
    """What a figure is called, its unit and its definition."""

    key: str
    label: str
    unit: str
    meaning: str


MARKET_FIGURES = (
    Figure("price", "clearing price", "$/MWh", "mean over hours"),
    Figure("price_weighted", "price, by load", "$/MWh", "consumer cost / energy served"),
    Figure("price_sd", "price, sd", "$/MWh", "standard deviation over hours"),
    Figure("volatility", "price volatility", "$/MWh", "root mean square change from the hour before"),
    Figure("price_increase", "price increase", "$/MWh", "mean of price - truthful price of the same hour"),
    Figure("price_increase_share", "price increase", "%", "price increase / mean truthful price"),
    Figure("markup", "markup over SRMC", "$/MWh", "profits / energy: mean of paid - SRMC, by dispatch"),
    Figure("lerner", "Lerner index", "", "mean of (paid - SRMC) / paid, by dispatch, where paid > 0"),
    Figure("profit", "profits of all", "$/h", "sum over agents, mean over hours"),
    Figure("demand", "demand", "MWh/h", "mean over hours"),
    Figure("consumer_cost", "consumer cost", "$/h", "what all are paid"),
    Figure("consumer_loss", "consumer loss", "$/h", "consumer cost - that under truthful bidding"),
    Figure("production_cost", "production cost", "$/h", "SRMC of all that runs"),
    Figure("welfare_loss", "welfare loss", "$/h", "production cost - that under truthful bidding"),
    Figure("unserved", "unserved energy", "MWh/h", "mean over hours"),
    Figure("unserved_increase", "unserved, increase", "MWh/h", "unserved - that under truthful bidding"),
    Figure("hhi_dispatch", "HHI of dispatch", "", "sum of squared shares of energy in %, 0 to 10000"),
    Figure("hhi_capacity", "HHI of capacity", "", "the same of available capacity"),
    Figure("exploitability", "exploitability", "$/h", "sum over deviators of gain"),
    Figure("exploitability_share", "relative exploitability", "%", "exploitability / the deviators' profits"),
)
"""Figures of the market, one per group of hours."""

AGENT_FIGURES = (
    Figure("profit", "profit", "$/h", "mean over hours"),
    Figure("profit_truthful", "truthful", "$/h", "its profit by truthful bidding against the same rivals"),
    Figure("profit_best", "best resp.", "$/h", "its profit by the best response to the same rivals"),
    Figure("gain", "gain", "$/h", "profit of the best response - profit"),
    Figure("gain_share", "share of gain", "%", "(profit - truthful) / (best - truthful)"),
    Figure("dispatch", "dispatch", "MWh/h", "mean over hours"),
    Figure("energy_share", "market share", "%", "share of all energy"),
    Figure("capacity_share", "capacity share", "%", "share of all available capacity"),
    Figure("withheld", "withheld", "%", "available capacity not offered, over hours in which it runs"),
    Figure("markup", "markup", "$/MWh", "profit / energy: mean of paid - SRMC, by dispatch"),
    Figure("lerner", "Lerner", "", "mean of (paid - SRMC) / paid, by dispatch, where paid > 0"),
    Figure(
        "offer_markup", "offer - SRMC", "$/MWh", "mean of offer price - SRMC, over hours in which it runs"
    ),
)
"""Figures of an agent, one per group of hours."""


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of a profile by group of hours: all hours, then each hour of the day that was played.

    Attributes
    ----------
    agents
        Names of the agents, (A,).
    hours
        Hour of the day of the groups after the first, 0 to 23, (H,).
    market
        One array (1 + H,) per key of `MARKET_FIGURES`; NaN where a figure is not defined.
    by_agent
        One array (1 + H, A) per key of `AGENT_FIGURES`; NaN where a figure is not defined.
    """

    agents: tuple[str, ...]
    hours: tuple[int, ...]
    market: dict[str, NDArray[np.float64]]
    by_agent: dict[str, NDArray[np.float64]]

    def overall(self, key: str, agent: int | None = None) -> float:
        """Return a figure over all hours, of the market or of the agent in a place."""
        return float(self.market[key][0] if agent is None else self.by_agent[key][0, agent])


def figures_of(evaluation: ProfileEvaluation) -> Figures:
    """Return the figures of a profile, by the definitions of `MARKET_FIGURES` and `AGENT_FIGURES`."""
    played, honest = evaluation.played, evaluation.truthful
    first_hour = evaluation.scenario.demand.first_hour
    sums, hours = _grouped((played.hour + first_hour) % 24)
    n = sums(np.ones_like(played.price))
    energy = sums(played.dispatch)  # (1 + H, A)
    rents = sums(played.profit)
    lerner = _lerner_terms(played)
    available = sums(honest.offer_mw)  # truthful bidding withholds nothing
    profits = _Deviations(evaluation, sums)

    market = {
        "price": sums(played.price) / n,
        "price_weighted": _ratio(sums(played.consumer_cost), energy.sum(axis=1)),
        "price_sd": _spread(played.price, sums, n),
        "volatility": _volatility(played.price, sums),
        "price_increase": sums(played.price - honest.price) / n,
        "price_increase_share": 100 * _ratio(sums(played.price - honest.price), sums(honest.price)),
        "markup": _ratio(rents.sum(axis=1), energy.sum(axis=1)),
        "lerner": _ratio(*(sums(term).sum(axis=1) for term in lerner)),
        "profit": rents.sum(axis=1) / n,
        "demand": sums(played.demand) / n,
        "consumer_cost": sums(played.consumer_cost) / n,
        "consumer_loss": sums(played.consumer_cost - honest.consumer_cost) / n,
        "production_cost": sums(played.production_cost) / n,
        "welfare_loss": sums(played.production_cost - honest.production_cost) / n,
        "unserved": sums(played.unserved) / n,
        "unserved_increase": sums(played.unserved - honest.unserved) / n,
        "hhi_dispatch": _hhi(energy),
        "hhi_capacity": _hhi(available),
        "exploitability": profits.gain.sum(axis=1) / n,
        "exploitability_share": 100 * _ratio(profits.gain.sum(axis=1), profits.own.sum(axis=1)),
    }
    running = played.dispatch > 0
    offered, could = sums(running * played.offer_mw), sums(running * honest.offer_mw)
    ran = sums(running.astype(np.float64))
    per_hour = n[:, None]
    by_agent = {
        "profit": rents / per_hour,
        "profit_truthful": profits.spread(profits.truthful) / per_hour,
        "profit_best": profits.spread(profits.best) / per_hour,
        "gain": profits.spread(profits.gain) / per_hour,
        "gain_share": 100 * profits.spread(profits.share()),
        "dispatch": energy / per_hour,
        "energy_share": 100 * _ratio(energy, energy.sum(axis=1, keepdims=True)),
        "capacity_share": 100 * _ratio(available, available.sum(axis=1, keepdims=True)),
        "withheld": 100 * (1 - _ratio(offered, could)),
        "markup": _ratio(rents, energy),
        "lerner": _ratio(*(sums(term) for term in lerner)),
        "offer_markup": _ratio(sums(running * (played.offer_price - played.srmc[:, None])), ran),
    }
    return Figures(evaluation.agents, hours, market, by_agent)


_Sums = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]
"""Sums of (N, T) or (N, T, A) over all hours and over each hour of the day: (1 + H,) or (1 + H, A)."""


def _grouped(hour_of_day: NDArray[np.int64]) -> tuple[_Sums, tuple[int, ...]]:
    hours, group = np.unique(hour_of_day, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    starts = np.searchsorted(group.ravel()[order], np.arange(len(hours)))

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = values.reshape(group.size, *values.shape[2:])
        by_hour = np.add.reduceat(flat[order], starts, axis=0)
        return np.concatenate([by_hour.sum(axis=0, keepdims=True), by_hour])

    return sums, tuple(hours.tolist())


class _Deviations:
    """Sums of the deviators' profits by group, (1 + H, D)."""

    def __init__(self, evaluation: ProfileEvaluation, sums: _Sums) -> None:
        deviations = evaluation.deviations
        self._places = [d.agent for d in deviations]
        self._agents = len(evaluation.agents)
        self.own, self.truthful, self.best = (
            sums(np.stack([getattr(d, name) for d in deviations], axis=2))
            for name in ("own", "truthful", "best")
        )
        self.gain = self.best - self.own

    def share(self) -> NDArray[np.float64]:
        attainable = self.best - self.truthful
        least = 1e-9 * np.maximum(1.0, np.maximum(np.abs(self.best), np.abs(self.truthful)))
        return _ratio(self.own - self.truthful, np.where(attainable > least, attainable, 0.0))

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (1 + H, D) as (1 + H, A) with NaN for the others."""
        everyone = np.full((len(values), self._agents), np.nan)
        everyone[:, self._places] = values
        return everyone


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return part / whole, NaN where the whole is not positive."""
    part, whole = np.broadcast_arrays(part, whole)
    ratio: NDArray[np.float64] = np.full(part.shape, np.nan)
    return np.divide(part, whole, out=ratio, where=whole > 0)


def _lerner_terms(played: MarketPlay) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    paid, srmc = played.paid, played.srmc[:, None, :]
    counted = np.where(paid > 0, played.dispatch, 0.0)
    index = np.divide(paid - srmc, paid, out=np.zeros(paid.shape), where=paid > 0)
    return counted * index, counted


def _spread(price: NDArray[np.float64], sums: _Sums, n: NDArray[np.float64]) -> NDArray[np.float64]:
    # Deviations from one centre, so that nothing cancels; the sums then give every group's own spread.
    deviation = price - price.mean()
    mean = sums(deviation) / n
    spread: NDArray[np.float64] = np.sqrt(np.maximum(sums(deviation**2) / n - mean**2, 0.0))
    return spread


def _volatility(price: NDArray[np.float64], sums: _Sums) -> NDArray[np.float64]:
    change, counted = np.zeros_like(price), np.zeros_like(price)
    change[:, 1:] = np.diff(price, axis=1)
    counted[:, 1:] = 1.0
    return np.sqrt(_ratio(sums(change**2), sums(counted)))


def _hhi(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = 100 * _ratio(amounts, amounts.sum(axis=1, keepdims=True))
    index: NDArray[np.float64] = (shares**2).sum(axis=1)
    return index
