"""The exact best reply, found hour by hour with the engine itself over a fine grid of offers.

The hours of a thermal fleet are independent: what a unit offers in one hour changes nothing in the next. So
the best reply to given rivals is found by playing every offer of a grid in every hour, in copies of the
episode that share its seed and so its demand, and keeping the best. Between two rival offers profit is a
straight line in the offer price and jumps at the offers themselves, so that the grid has points just below
and at every rival offer of the hour besides its even spacing. A unit can also raise the price beyond its own
reach, by offering so little that a dearer rival sets it; the most that does so is what demand leaves above
the cheaper rivals, so that the grid has this quantity for every rival offer of the hour too.

Rivals that look at the past (by features such as the last clearing price) make hours depend on each other;
the result is then the best reply to the rivals' offers as they are met by the same grid action all day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vecmarket.evaluation.plays import Play

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecmarket.evaluation.plays import Episodes

__all__ = ["Grid", "best_replies"]

COPIES_AT_ONCE = 16_384
"""Environments in one batch: enough to keep the engine busy, small enough to stay in a few tens of MB."""


@dataclass(frozen=True)
class Grid:
    """The offers that a best reply is looked for among.

    Attributes
    ----------
    spacing
        Distance of the even price points over the whole reachable range, $/MWh.
    below
        How far below a rival's offer the point beside it lies, $/MWh.
    withheld
        Shares of the capacity withheld, each tried with every price. Must hold 0.
    residual
        Also try, at SRMC, the quantities that leave each dearer rival at the margin.
    """

    spacing: float = 1.0
    below: float = 1e-3
    withheld: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8)
    residual: bool = True

    def __post_init__(self) -> None:
        if not self.spacing > 0:
            raise ValueError(f"spacing: must be > 0 $/MWh, got {self.spacing}")
        if not self.below > 0:
            raise ValueError(f"below: must be > 0 $/MWh, got {self.below}")
        if 0.0 not in self.withheld or not all(0 <= share <= 1 for share in self.withheld):
            raise ValueError(f"withheld: must be shares in [0, 1] with 0 among them, got {self.withheld}")


def best_replies(episodes: Episodes, reference: Play, grid: Grid | None = None) -> tuple[Play, Play]:
    """Find the learner's best offer in every hour.

    Parameters
    ----------
    episodes
        What is played.
    reference
        The same episodes under truthful bidding; the rivals' offers are read from it.
    grid
        The offers tried; `Grid()` when None.

    Returns
    -------
    tuple of Play
        The best by profit, and the best by reward. Where nothing beats truthful bidding, that is the answer.
    """
    grid = grid or Grid()
    reach = _reach(episodes)  # (N,)
    rivals = np.delete(reference.all_prices, episodes.learner, axis=2)  # (N, T, A - 1)
    if rivals.shape[2]:
        # Rivals that always offer the same price, as units of one type do, need one pair of points.
        rivals = np.unique(rivals.reshape(-1, rivals.shape[2]), axis=1).reshape(*rivals.shape[:2], -1)
    n_points = 2 * int(np.floor(reach.max() / grid.spacing)) + 4 + 2 * rivals.shape[2]
    per_batch = max(1, COPIES_AT_ONCE // (n_points * len(grid.withheld) + rivals.shape[2] + 1))
    parts = [
        _search(episodes, slice(i, i + per_batch), reference, rivals, reach, grid)
        for i in range(0, len(episodes), per_batch)
    ]
    return Play.concatenate([p for p, _ in parts]), Play.concatenate([r for _, r in parts])


def _search(
    episodes: Episodes,
    part: slice,
    reference: Play,
    rivals: NDArray[np.float64],
    reach: NDArray[np.float64],
    grid: Grid,
) -> tuple[Play, Play]:
    actions = _actions(reference.srmc[part], rivals[part], reach[part], grid)  # (n, T, M, 2)
    if grid.residual:
        residual = _residual_actions(episodes.learner, reference, part, rivals[part])
        actions = np.concatenate([actions, residual], axis=2)
    n, horizon, tried, _ = actions.shape
    batch, _ = episodes.start(copies=tried, part=part)
    first = np.arange(n) * tried
    by_profit, by_reward = [], []
    for t in range(horizon):
        batch.step(np.ascontiguousarray(actions[:, t].reshape(n * tried, 2)))
        by_profit.append(batch.read(first + batch.profit.reshape(n, tried).argmax(axis=1)))
        by_reward.append(batch.read(first + batch.reward.reshape(n, tried).argmax(axis=1)))
    return Play.stack(by_profit), Play.stack(by_reward)


def _actions(
    srmc: NDArray[np.float64], rivals: NDArray[np.float64], reach: NDArray[np.float64], grid: Grid
) -> NDArray[np.float32]:
    """Return the grid of every hour as actions, (n, T, M, 2); the first of them is truthful bidding."""
    steps = int(np.floor(reach.max() / grid.spacing))
    even = np.arange(-steps, steps + 1) * grid.spacing
    # Truthful first: argmax takes the first of equals, so that an hour without a gain shows the honest offer.
    markups = np.concatenate(
        [
            np.broadcast_to(np.concatenate([[0.0], even]), (*srmc.shape, len(even) + 1)),
            np.broadcast_to(reach[:, None, None] * [-1.0, 1.0], (*srmc.shape, 2)),
            rivals - grid.below - srmc[:, :, None],
            rivals - srmc[:, :, None],
        ],
        axis=2,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        price = np.arctanh(np.clip(markups / reach[:, None, None], -1.0, 1.0))
    price = np.nan_to_num(np.clip(price, -10.0, 10.0))
    withheld = np.array(sorted(grid.withheld))
    actions = np.empty((*srmc.shape, len(withheld), price.shape[2], 2), dtype=np.float32)
    actions[..., 0] = withheld[:, None]
    actions[..., 1] = price[:, :, None, :]
    return actions.reshape(*srmc.shape, -1, 2)


def _residual_actions(
    learner: int, reference: Play, part: slice, levels: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the offers that leave a dearer rival at the margin, (n, T, levels + 1, 2), at truthful prices.

    For every price level of the rivals, and for none at all (shortage), the learner offers what demand leaves
    above the rivals below that level, less a sliver that float32 and the market's tolerance cannot eat.
    """
    prices = np.delete(reference.all_prices[part], learner, axis=2)[:, :, None, :]
    quantities = np.delete(reference.all_quantities[part], learner, axis=2)[:, :, None, :]
    shortage = np.full((*levels.shape[:2], 1), np.inf)
    level = np.concatenate([levels, shortage], axis=2)[..., None]
    cheaper = np.where(prices < level, quantities, 0.0).sum(axis=3)
    available = reference.offer_mw[part][:, :, None]
    demand = reference.demand[part][:, :, None]
    wanted = demand - cheaper - 1e-6 * (np.abs(demand) + available)
    with np.errstate(divide="ignore", invalid="ignore"):
        withheld = np.nan_to_num(1.0 - np.clip(wanted, 0.0, available) / available)
    actions = np.zeros((*withheld.shape, 2), dtype=np.float32)
    actions[..., 0] = np.clip(withheld, 0.0, 1.0)
    return actions


def _reach(episodes: Episodes) -> NDArray[np.float64]:
    """Return how far an offer can lie from SRMC in each episode, $/MWh, (N,).

    A plain `max_bid_delta` is known. A drawn one is measured: one small bid shows what tanh is multiplied by.
    """
    delta = episodes.scenario.bidding.max_bid_delta
    if isinstance(delta, float | int):
        return np.full(len(episodes), float(delta))
    small = np.float32(0.01)
    batch, _ = episodes.start()
    batch.step(np.tile(np.array([0.0, small], np.float32), (len(episodes), 1)))
    hour = batch.read(np.arange(len(episodes)))
    reach: NDArray[np.float64] = (hour.offer_price - hour.srmc) / np.tanh(np.float64(small))
    return reach
