"""The exact best reply, found hour by hour with the engine itself over a fine grid of offers.

The hours of a thermal fleet are independent: what a unit offers in one hour changes nothing in the next. So
the best reply to given rivals is found by playing every offer of a grid in every hour, in copies of the
episode that share its seed and so its demand, and keeping the best. By profit, the grid's points beside the
rivals' offers hold the best (`vecmarket.evaluation.offers` says why); the even points are for the reward,
whose penalties bend the straight lines between them.

Rivals that look at the past (by features such as the last clearing price) make hours depend on each other;
the result is then the best reply to the rivals' offers as they are met by the same grid action all day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vecmarket.evaluation.offers import Grid, Situation
from vecmarket.evaluation.plays import Play

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecmarket.evaluation.plays import Episodes

__all__ = ["best_replies", "find_reach"]

COPIES_AT_ONCE = 16_384
"""Environments in one batch: enough to keep the engine busy, small enough to stay in a few tens of MB."""


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
    me = episodes.learner
    at = Situation.of(
        me,
        reference.srmc,
        reference.offer_mw,
        reference.demand,
        find_reach(episodes),
        reference.all_prices,
        reference.all_quantities,
    )
    per_batch = max(1, COPIES_AT_ONCE // grid.size(float(at.reach.max()), at.levels.shape[2]))
    parts = [
        _search(episodes, slice(i, i + per_batch), grid.actions(at[i : i + per_batch]))
        for i in range(0, len(episodes), per_batch)
    ]
    return Play.concatenate([p for p, _ in parts]), Play.concatenate([r for _, r in parts])


def _search(episodes: Episodes, part: slice, actions: NDArray[np.float32]) -> tuple[Play, Play]:
    """Play the actions (n, T, M, 2) of every hour in copies of the episodes; return the best two plays."""
    n, horizon, tried, _ = actions.shape
    batch, _ = episodes.start(copies=tried, part=part)
    first = np.arange(n) * tried
    by_profit, by_reward = [], []
    for t in range(horizon):
        batch.step(np.ascontiguousarray(actions[:, t].reshape(n * tried, 2)))
        by_profit.append(batch.read(first + batch.profit.reshape(n, tried).argmax(axis=1)))
        by_reward.append(batch.read(first + batch.reward.reshape(n, tried).argmax(axis=1)))
    return Play.stack(by_profit), Play.stack(by_reward)


def find_reach(episodes: Episodes) -> NDArray[np.float64]:
    """Return how far an offer can lie from SRMC in each episode, $/MWh, (N,).

    A plain `max_bid_delta` is known. A drawn one is measured: b - c = tanh(a1) * reach for every bid that
    floor and cap leave alone, so that the value on which two bids of different size agree is the reach.
    """
    delta = episodes.scenario.bidding.max_bid_delta
    if isinstance(delta, float | int):
        return np.full(len(episodes), float(delta))
    measured = []
    for parameter in np.array([-3.0, -1.0, -0.1, -0.01, 0.01, 0.1, 1.0, 3.0], np.float32):
        batch, _ = episodes.start()
        batch.step(np.tile(np.array([0.0, parameter], np.float32), (len(episodes), 1)))
        hour = batch.read(np.arange(len(episodes)))
        measured.append((hour.offer_price - hour.srmc) / np.tanh(np.float64(parameter)))
    tried = np.sort(np.maximum(measured, 0.0), axis=0)  # (bids, N)
    # Bids on the wrong side of a bound that lies beyond SRMC measure nothing, and agree on that.
    apart = np.where(tried[1:] > 0, np.diff(tried, axis=0) / np.maximum(tried[1:], 1e-300), np.inf)
    reach: NDArray[np.float64] = np.take_along_axis(tried, apart.argmin(axis=0)[None] + 1, axis=0)[0]
    # Where every bid is at a bound, any reach says so.
    return np.where(reach > 0, reach, 1.0)
