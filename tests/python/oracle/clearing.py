"""Clearing of one market, section 2.2 of ``docs/market.md``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cleared:
    """What one clearing decides; `marginal` is -1 where nothing is dispatched."""

    price: float
    dispatch: NDArray[np.float64]  # (G,)
    unserved: float
    curtailed: float
    marginal: int


def clear(
    prices: Sequence[float],
    quantities: Sequence[float],
    demand: float,
    *,
    pricing: str = "uniform",
    kink: str = "lower",
    scarcity: str = "last_offer",
    tie_break: str = "pro_rata",
    floor: float | None = None,
    cap: float | None = None,
    tie_words: Sequence[int] | None = None,
) -> Cleared:
    """Clear one market; `tie_words` (one per offer) give the order of equal offers under ``"random"``."""
    dispatch = np.zeros(len(prices))
    if demand <= 0.0:
        return Cleared(0.0 if floor is None else floor, dispatch, 0.0, max(0.0, -demand), -1)

    offers = [i for i in range(len(prices)) if quantities[i] > 0.0]
    if not offers:
        nothing_offered = cap if cap is not None else max(floor if floor is not None else 0.0, 0.0)
        return Cleared(nothing_offered, dispatch, demand, 0.0, -1)

    if tie_break == "random":
        assert tie_words is not None
        words = tie_words
        order = sorted(offers, key=lambda i: (prices[i], words[i], i))
    else:
        order = sorted(offers, key=lambda i: (prices[i], i))

    tolerance = 1e-9 * max(1.0, abs(demand))
    supply = 0.0
    before = 0.0
    place = None
    for k, i in enumerate(order):
        before = supply
        supply += quantities[i]
        if supply >= demand - tolerance:
            place = k
            break

    if place is None:
        for i in order:
            dispatch[i] = quantities[i]
        last = order[-1]
        price = prices[last]
        if pricing == "uniform" and scarcity == "cap":
            assert cap is not None
            price = cap
        return Cleared(price, dispatch, demand - supply, 0.0, last)

    marginal = order[place]
    for i in order[:place]:
        dispatch[i] = quantities[i]
    dispatch[marginal] = min(demand - before, quantities[marginal])
    if tie_break == "pro_rata":
        share_among_ties(dispatch, order, prices, quantities, demand, prices[marginal])

    price = prices[marginal]
    at_a_kink = abs(supply - demand) <= tolerance
    if pricing == "uniform" and at_a_kink and place + 1 < len(order):
        upper = prices[order[place + 1]]
        if kink == "upper":
            price = upper
        elif kink == "mid":
            price = 0.5 * (price + upper)
    return Cleared(price, dispatch, 0.0, 0.0, marginal)


def share_among_ties(
    dispatch: NDArray[np.float64],
    order: Sequence[int],
    prices: Sequence[float],
    quantities: Sequence[float],
    demand: float,
    price: float,
) -> None:
    """Share what is left at the marginal price in proportion to the offered quantities."""
    cheaper = 0.0
    tied = 0.0
    for i in order:
        if prices[i] < price:
            cheaper += quantities[i]
        elif prices[i] == price:
            tied += quantities[i]
    left = min(demand - cheaper, tied)
    for i in order:
        if prices[i] == price:
            dispatch[i] = quantities[i] * (left / tied)
