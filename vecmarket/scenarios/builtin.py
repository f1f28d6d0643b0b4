"""The two small scenarios: `default`, with market power at the peak, and `competitive`, without any.

Both have G firms of equal size, 150 MW together, and one sine of demand over the episode.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vecmarket.checks import whole_number
from vecmarket.config import Demand, Generator, Scenario

__all__ = ["competitive", "default"]

_FLEET_MW = 30.0 * 5  # the fleet's capacity, whatever the number of firms
_CHEAPEST, _DEAREST = 20.0, 40.0  # $/MWh


def default(n_generators: int = 5, horizon: int = 24) -> Scenario:
    """Return G equal generators with costs evenly from 20 to 40 $/MWh, under a sine of demand with noise.

    Demand is ``(sin(linspace(0, 2 pi, T)) + 1.5) * 50`` MW, with a noise of 5 % of its largest hour. At the
    peak, 125 MW of 150, every firm of five is pivotal: the market cannot do without it.

    Parameters
    ----------
    n_generators
        Generators G, at least 1.
    horizon
        Steps in one episode T, at least 1.

    Raises
    ------
    ValueError, TypeError
        When a parameter is too small, or no whole number.
    """
    n_generators = whole_number("n_generators", n_generators, least=1)
    horizon = whole_number("horizon", horizon, least=1)
    srmc = np.linspace(_CHEAPEST, _DEAREST, n_generators)
    return Scenario(
        generators=_equal_fleet(srmc),
        demand=Demand(tuple((_sine(horizon) * 50.0).tolist()), noise=0.05),
        horizon=horizon,
        name="default",
    )


def competitive(n_generators: int = 8, horizon: int = 24) -> Scenario:
    """Return a fleet of cost pairs in which no firm is pivotal, under a sine of demand without noise.

    Every cost stands twice (the dearest once where G is odd), so that a firm that raises its price meets a
    rival at the same cost. The sine peaks 1 MW below the capacity of all firms but one.

    Parameters
    ----------
    n_generators
        Generators G, at least 2: of one firm alone, none is left to meet the demand.
    horizon
        Steps in one episode T, at least 1.

    Raises
    ------
    ValueError, TypeError
        When a parameter is too small, or no whole number.
    """
    n_generators = whole_number("n_generators", n_generators, least=2)
    horizon = whole_number("horizon", horizon, least=1)
    costs = np.linspace(_CHEAPEST, _DEAREST, (n_generators + 1) // 2)
    fleet = _equal_fleet(np.sort(np.tile(costs, 2)[:n_generators]))
    shape = _sine(horizon)
    peak_mw = _FLEET_MW * (n_generators - 1) / n_generators - 1.0
    return Scenario(
        generators=fleet,
        demand=Demand(tuple((shape / shape.max() * peak_mw).tolist())),
        horizon=horizon,
        name="competitive",
    )


def _equal_fleet(srmc: NDArray[np.float64]) -> tuple[Generator, ...]:
    capacity_mw = _FLEET_MW / len(srmc)
    return tuple(Generator(capacity_mw, cost) for cost in srmc.tolist())


def _sine(horizon: int) -> NDArray[np.float64]:
    return np.sin(np.linspace(0.0, 2.0 * np.pi, horizon)) + 1.5
