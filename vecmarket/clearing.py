"""Clear markets once, without an environment: offers and demand in, price and dispatch out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vecmarket import _core
from vecmarket.checks import real_array
from vecmarket.config import MarketRules

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Clearing", "clear"]

_clear_plain = _core.clear_plain
_new = tuple.__new__


class Clearing(NamedTuple):
    """The outcome of one market, or of N markets.

    Attributes
    ----------
    price
        Clearing price, $/MWh: float, or (N,) float64. Under pay-as-bid the marginal offer.
    dispatch
        What each offer sells, MW: (G,) or (N, G) float64.
    unserved
        Demand that no offer was left for, MW: float or (N,).
    curtailed
        Energy left over where demand is negative, MW: float or (N,).
    marginal
        Place of the marginal unit, -1 for none: int, or (N,) int64.
    """

    price: float | NDArray[np.float64]
    dispatch: NDArray[np.float64]
    unserved: float | NDArray[np.float64]
    curtailed: float | NDArray[np.float64]
    marginal: int | NDArray[np.int64]


def clear(
    prices: ArrayLike,
    quantities: ArrayLike,
    demand: ArrayLike,
    *,
    rules: MarketRules = MarketRules(),  # noqa: B008 - frozen
    seed: int = 0,
    threads: int = 1,
) -> Clearing:
    """Clear one market, or N markets at once, by merit order; section 1 of ``docs/market.md`` has the rules.

    Parameters
    ----------
    prices
        Offer prices, $/MWh, (G,) or (N, G).
    quantities
        Offered quantities, MW, at least 0, of the same shape.
    demand
        Demand, MW: one number for one market; one number for all or (N,) for N markets.
    rules
        Price rule, ties, kinks, scarcity, floor and cap.
    seed
        Key of the random tie-break: row i draws from (seed, i).
    threads
        Threads that share the rows; 0 for all cores. The results do not depend on it.

    Returns
    -------
    Clearing
        Plain numbers and (G,) for one market, arrays for N.

    Raises
    ------
    ValueError
        When shapes do not fit, a market has no offer at all, a number is not finite, a quantity is negative,
        an offer lies outside floor and cap, or a rule is unknown; the message names argument and place.
    TypeError
        When an argument is not made of real numbers.

    Examples
    --------
    >>> import vecmarket as vm
    >>> vm.clear([20.0, 30.0, 50.0], [100.0, 100.0, 100.0], 150.0).price
    30.0
    """
    # Most calls need nothing converted and nothing refused. The named tuple's own constructor is Python code.
    outcome = _clear_plain(prices, quantities, demand, rules, seed, threads)
    if outcome is not None:
        return _new(Clearing, outcome)
    return _checked(prices, quantities, demand, rules, seed, threads)


def _checked(
    prices: ArrayLike, quantities: ArrayLike, demand: ArrayLike, rules: MarketRules, seed: int, threads: int
) -> Clearing:
    """Clear any markets: convert, or refuse with the place, what the quick way does not take."""
    offer_prices = real_array("prices", prices, np.float64)
    offered = real_array("quantities", quantities, np.float64)
    if offer_prices.ndim not in (1, 2):
        raise ValueError(f"prices: must have shape (G,) or (N, G), got {offer_prices.shape}")
    if offer_prices.shape[-1] == 0:
        raise ValueError(f"prices: a market needs at least one offer, got shape {offer_prices.shape}")
    if offered.shape != offer_prices.shape:
        raise ValueError(
            f"quantities: must have the shape of prices, {offer_prices.shape}, got {offered.shape}"
        )
    if offer_prices.ndim == 1:
        return Clearing(*_core.clear_one(offer_prices, offered, _one_number(demand), rules, seed, threads))
    wanted = real_array("demand", demand, np.float64)
    markets = offer_prices.shape[0]
    if wanted.ndim == 0:
        wanted = np.full(markets, wanted)
    elif wanted.shape != (markets,):
        raise ValueError(f"demand: must be one number or have shape ({markets},), got {wanted.shape}")
    return Clearing(*_core.clear(offer_prices, offered, wanted, rules, seed, threads))


def _one_number(demand: ArrayLike) -> float:
    """Return the demand of one market as a plain number."""
    if type(demand) is float:
        return demand
    wanted = real_array("demand", demand, np.float64)
    if wanted.ndim != 0:
        raise ValueError(f"demand: must be one number for one market, got shape {wanted.shape}")
    return float(wanted)
