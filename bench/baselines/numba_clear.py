"""Clearing one market in numba: the merit order by a sort, then one walk along it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.baselines.jit import inlined, njit

INSERTION_SORT_UP_TO = 128  # offers; beyond, numba's argsort is the faster of the two


@njit
def clear(
    prices: NDArray[np.float64], quantities: NDArray[np.float64], demand: float
) -> tuple[float, NDArray[np.float64], float]:
    """Return the clearing price, the dispatch (G,) and the unserved energy of one market."""
    dispatch, ranked = np.empty((1, prices.size)), np.empty(prices.size)
    order = np.empty(prices.size, np.int64)
    price, unserved = clear_into(prices, quantities, demand, order, ranked, 0, dispatch)
    return price, dispatch[0], unserved


@njit
def clear_many(
    prices: NDArray[np.float64], quantities: NDArray[np.float64], demand: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return price (N,), dispatch (N, G) and unserved energy (N,) of N markets, cleared in one call."""
    markets, offers = prices.shape
    price, unserved = np.empty(markets), np.empty(markets)
    dispatch, ranked = np.empty((markets, offers)), np.empty(offers)
    order = np.empty(offers, np.int64)
    for n in range(markets):
        price[n], unserved[n] = clear_into(prices[n], quantities[n], demand[n], order, ranked, n, dispatch)
    return price, dispatch, unserved


@inlined
def clear_into(
    prices: NDArray[np.float64],
    quantities: NDArray[np.float64],
    demand: float,
    order: NDArray[np.int64],
    ranked: NDArray[np.float64],
    n: int,
    dispatch: NDArray[np.float64],
) -> tuple[float, float]:
    """Write row n of dispatch (N, G); return price and unserved energy. `order`, `ranked`: scratch (G,)."""
    for unit in range(prices.size):
        dispatch[n, unit] = 0.0
    if demand <= 0.0:
        return 0.0, 0.0
    _sort(prices, order, ranked)
    enough = demand - 1e-9 * max(1.0, demand)
    supply = before = price = 0.0
    start = -1  # place in the order of the first offer at `price`
    for place in range(order.size):
        unit = order[place]
        if quantities[unit] <= 0.0:
            continue
        if start < 0 or ranked[place] != price:
            price, before, start = ranked[place], supply, place
        supply += quantities[unit]
        dispatch[n, unit] = quantities[unit]
        if supply >= enough:
            _share(quantities, order, ranked, start, demand - before, n, dispatch)
            return price, 0.0
    return price, demand - supply


@inlined
def _share(
    quantities: NDArray[np.float64],
    order: NDArray[np.int64],
    ranked: NDArray[np.float64],
    start: int,
    left: float,
    n: int,
    dispatch: NDArray[np.float64],
) -> None:
    """Give what is left of the demand to the offers tied at the margin, in proportion to their quantities."""
    end, offered = start, 0.0
    while end < order.size and ranked[end] == ranked[start]:
        offered += quantities[order[end]]
        end += 1
    share = min(1.0, left / offered)
    for place in range(start, end):
        dispatch[n, order[place]] = share * quantities[order[place]]


@inlined
def _sort(prices: NDArray[np.float64], order: NDArray[np.int64], ranked: NDArray[np.float64]) -> None:
    """Write the merit order and the prices in that order."""
    if prices.size > INSERTION_SORT_UP_TO:
        order[:] = np.argsort(prices)
        ranked[:] = prices[order]
        return
    for unit in range(prices.size):
        price, place = prices[unit], unit
        while place > 0 and ranked[place - 1] > price:
            ranked[place] = ranked[place - 1]
            order[place] = order[place - 1]
            place -= 1
        ranked[place] = price
        order[place] = unit
