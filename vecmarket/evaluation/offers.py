"""The offers among which a best response is looked for: an even grid, and the few that can be best.

Given the rivals' offers of an hour, a few offers hold the best profit. Let the price be P > c and let the
unit run x MW. Rivals cheaper than P run fully, so that x <= min(K, D - R(P)), R(P) being what they offer.
Let p be the lowest rival offer that is not below P. No rival stands between, so R(p) = R(P), and profit is
at most (p - c) min(K, D - R(p)). That is the supremum of offering everything just below p; under the
uniform price also of offering so little that the rival at p sets the price. Where no rival's offer is as
high as P, the unit sets the price itself, best by its dearest offer, or is short of demand under
``scarcity="cap"``. So the best is among: everything just below every rival offer, everything as dear as can
be said, everything at SRMC, the quantities that leave each rival at the margin, and nothing at all; up to
the distance that "just below" means.

Equal offers share what is left under every tie rule, so that undercutting beats them by all but that
distance; where the floor forbids to undercut, everything at SRMC, lifted to the floor, ties.

The argument is that of von der Fehr and Harbord, "Spot market competition in the UK electricity industry",
Economic Journal 103 (1993), and of Fabra, von der Fehr and Harbord, RAND Journal of Economics 37 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Grid", "Situation"]

PARAMETER_LIMIT = 10.0
"""End of the action box for the price parameter."""

UNDERCUT = 1e-7
"""Least distance below a rival's offer as a share of the reach: four times what float32 actions resolve."""


@dataclass(frozen=True)
class Grid:
    """The offers that a best response is looked for among.

    The offers that can be best, see above, are always tried, but for the quantities that leave a rival at the
    margin where `residual` is False.

    Attributes
    ----------
    spacing
        Distance of the even price points over the whole reachable range, $/MWh; None for no such points.
    below
        How far below a rival's offer the point beside it lies, $/MWh. Where float32 actions cannot resolve
        it, 1e-7 of the reach is taken.
    withheld
        Shares of the capacity withheld, each tried with every price. Must hold 0.
    ties
        Also try to meet every rival's price; float32 meets it to about 1e-7 of the reach, above or below.
    residual
        Also try, at SRMC, the quantities that leave each dearer rival at the margin, and nothing at all.
    """

    spacing: float | None = 1.0
    below: float = 1e-3
    withheld: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8)
    ties: bool = True
    residual: bool = True

    def __post_init__(self) -> None:
        if self.spacing is not None and not self.spacing > 0:
            raise ValueError(f"spacing: must be > 0 $/MWh or None, got {self.spacing}")
        if not self.below > 0:
            raise ValueError(f"below: must be > 0 $/MWh, got {self.below}")
        if 0.0 not in self.withheld or not all(0 <= share <= 1 for share in self.withheld):
            raise ValueError(f"withheld: must be shares in [0, 1] with 0 among them, got {self.withheld}")

    @classmethod
    def critical(cls, below: float = 1e-3, *, withholding: bool = True) -> Grid:
        """Return the grid of nothing but the offers that can be best by profit.

        Without `withholding` these are the best among those that offer everything.

        Raises
        ------
        ValueError
            When `below` is not positive.
        TypeError
            When `withholding` is not True or False.
        """
        if not isinstance(withholding, bool):
            raise TypeError(f"withholding: must be True or False, got {withholding!r}")
        return cls(spacing=None, below=below, withheld=(0.0,), ties=False, residual=withholding)

    @property
    def withholds(self) -> bool:
        """Whether any offer tried holds back capacity."""
        return self.residual or any(share > 0 for share in self.withheld)

    def size(self, reach: float, rivals: int) -> int:
        """Return how many offers are tried in an hour at most, given the reach and the rivals' levels."""
        prices = 4 + 2 * self._steps(reach) + (1 + self.ties) * rivals
        return prices * len(self.withheld) + (rivals + 2 if self.residual else 0)

    def actions(self, situation: Situation) -> NDArray[np.float32]:
        """Return the offers tried in every hour as actions, (n, T, M, 2); the first is truthful bidding."""
        actions = self._prices(situation)
        if self.residual:
            actions = np.concatenate([actions, _residual_actions(situation)], axis=2)
        return actions

    def _steps(self, reach: float) -> int:
        return 0 if self.spacing is None else int(np.floor(reach / self.spacing))

    def _prices(self, at: Situation) -> NDArray[np.float32]:
        shape, reach = at.srmc.shape, at.reach[:, None, None]
        steps = self._steps(float(at.reach.max()))
        even = np.arange(-steps, steps + 1) * self.spacing if self.spacing and steps else np.empty(0)
        below = np.maximum(self.below, UNDERCUT * reach)
        # Truthful first: argmax takes the first of equals, so that an hour without a gain shows the honest
        # offer.
        beside = at.levels - at.srmc[:, :, None]
        points = [
            np.broadcast_to(np.concatenate([[0.0], even]), (*shape, len(even) + 1)),
            np.broadcast_to(reach * [-1.0, 1.0], (*shape, 2)),
            beside - below,
        ]
        markups = np.concatenate([*points, beside] if self.ties else points, axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            price = np.arctanh(np.clip(markups / reach, -1.0, 1.0))
        price = np.nan_to_num(np.clip(price, -PARAMETER_LIMIT, PARAMETER_LIMIT))
        withheld = np.array(sorted(self.withheld))
        actions = np.empty((*shape, len(withheld), price.shape[2], 2), dtype=np.float32)
        actions[..., 0] = withheld[:, None]
        actions[..., 1] = price[:, :, None, :]
        return actions.reshape(*shape, -1, 2)


@dataclass(frozen=True)
class Situation:
    """What one agent faces: n episodes, T hours, R rivals.

    Attributes
    ----------
    srmc, available
        Its SRMC, $/MWh, and what it can offer, MW, (n, T).
    demand
        MW, (n, T).
    reach
        How far its offers can lie from SRMC, $/MWh, (n,).
    rival_prices, rival_quantities
        The rivals' offers, $/MWh and MW, (n, T, R).
    levels
        The distinct columns of `rival_prices`, (n, T, at most R): units of one type that offer alike need
        one pair of points.
    """

    srmc: NDArray[np.float64]
    available: NDArray[np.float64]
    demand: NDArray[np.float64]
    reach: NDArray[np.float64]
    rival_prices: NDArray[np.float64]
    rival_quantities: NDArray[np.float64]
    levels: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        agent: int,
        srmc: NDArray[np.float64],
        available: NDArray[np.float64],
        demand: NDArray[np.float64],
        reach: NDArray[np.float64],
        prices: NDArray[np.float64],
        quantities: NDArray[np.float64],
    ) -> Situation:
        """Return the situation of an agent in markets whose offers are known, arrays (n, T, A)."""
        rival_prices = np.delete(prices, agent, axis=2)
        distinct = {rival_prices[:, :, r].tobytes(): r for r in reversed(range(rival_prices.shape[2]))}
        levels = rival_prices[:, :, sorted(distinct.values())]
        rivals = np.delete(quantities, agent, axis=2)
        return cls(srmc, available, demand, reach, rival_prices, rivals, levels)

    def __getitem__(self, part: slice) -> Situation:
        return Situation(*(getattr(self, name)[part] for name in self.__dataclass_fields__))


def _residual_actions(at: Situation) -> NDArray[np.float32]:
    """Return the offers that leave a dearer rival at the margin, (n, T, levels + 2, 2), at truthful prices.

    For every price level of the rivals, and for none at all (shortage), the agent offers what demand leaves
    above the rivals below that level, less a sliver that float32 and the market's tolerance cannot eat. The
    last offers nothing: the best where a cap below SRMC makes every sale a loss.
    """
    shortage = np.full((*at.levels.shape[:2], 1), np.inf)
    level = np.concatenate([at.levels, shortage], axis=2)
    cheaper = np.stack(
        [
            np.where(at.rival_prices < level[:, :, k, None], at.rival_quantities, 0.0).sum(axis=2)
            for k in range(level.shape[2])
        ],
        axis=2,
    )
    available, demand = at.available[:, :, None], at.demand[:, :, None]
    wanted = demand - cheaper - 1e-6 * (np.abs(demand) + available)
    with np.errstate(divide="ignore", invalid="ignore"):
        withheld = np.nan_to_num(1.0 - np.clip(wanted, 0.0, available) / available)
    actions = np.zeros((*level.shape[:2], level.shape[2] + 1, 2), dtype=np.float32)
    actions[:, :, :-1, 0] = np.clip(withheld, 0.0, 1.0)
    actions[:, :, -1, 0] = 1.0
    return actions
