"""Figures over several training seeds: mean, confidence interval, least and most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vecmarket.evaluation.exploitability import check_setting

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from vecmarket.evaluation.exploitability import ProfileEvaluation

__all__ = ["Interval", "SeedFigures", "over_seeds", "t_interval"]


@dataclass(frozen=True, eq=False)
class Interval:
    """A confidence interval for each number of an array.

    Attributes
    ----------
    mean
        Mean over the samples; NaN where a number has none.
    half_width
        Half of the interval's width; NaN where a number has fewer than two samples.
    least, most
        The smallest and the largest sample.
    samples
        How many samples are not NaN, int64.
    """

    mean: NDArray[np.float64]
    half_width: NDArray[np.float64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]
    samples: NDArray[np.int64]


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return Student's confidence interval for the mean of independent, roughly normal samples.

    The interval is mean +- t s / sqrt(n), s the sample standard deviation with n - 1 in the denominator and t
    the quantile of Student's t with n - 1 degrees of freedom at (1 + level) / 2 ("Student", "The probable
    error of a mean", Biometrika 6, 1908). Its quantile is scipy's.

    Parameters
    ----------
    values
        Samples on the first axis, (S, ...); NaN where a sample does not define the number.
    level
        Probability that the interval holds the mean, in (0, 1).

    Returns
    -------
    Interval
        Arrays (...).

    Raises
    ------
    ValueError
        When there is no sample, or the level is not in (0, 1).
    ImportError
        When scipy is not installed.
    """
    try:
        from scipy.special import stdtrit
    except ImportError as error:
        raise ImportError("confidence intervals need scipy: pip install 'vecmarket[train]'") from error

    samples = np.asarray(values, dtype=np.float64)
    if samples.ndim == 0 or len(samples) == 0:
        raise ValueError("values: must hold at least one sample")
    if not 0 < level < 1:
        raise ValueError(f"level: must be in (0, 1), got {level}")
    defined = ~np.isnan(samples)
    n = defined.sum(axis=0)
    nothing = np.where(n > 0, 0.0, np.nan)
    mean = np.where(defined, samples, 0.0).sum(axis=0) / np.maximum(n, 1) + nothing
    squares = np.where(defined, samples - mean, 0.0) ** 2
    freedom = np.maximum(n - 1, 1)
    error_of_mean = np.sqrt(squares.sum(axis=0) / freedom / np.maximum(n, 1))
    return Interval(
        mean=mean,
        half_width=np.where(n > 1, stdtrit(freedom, 0.5 + 0.5 * level) * error_of_mean, np.nan),
        least=np.where(defined, samples, np.inf).min(axis=0) + nothing,
        most=np.where(defined, samples, -np.inf).max(axis=0) + nothing,
        samples=n,
    )


@dataclass(frozen=True, eq=False)
class SeedFigures:
    """The figures of a game over training seeds, in the groups of `Figures`.

    Attributes
    ----------
    agents, hours
        As in `Figures`.
    seeds
        Number of evaluations.
    level
        Probability that an interval holds its mean.
    market
        One interval of arrays (1 + H,) per key of `MARKET_FIGURES`.
    by_agent
        One interval of arrays (1 + H, A) per key of `AGENT_FIGURES`.
    """

    agents: tuple[str, ...]
    hours: tuple[int, ...]
    seeds: int
    level: float
    market: dict[str, Interval]
    by_agent: dict[str, Interval]


def over_seeds(evaluations: Sequence[ProfileEvaluation], level: float = 0.95) -> SeedFigures:
    """Return the figures of one game over profiles that were trained from different seeds.

    Every evaluation is of the same fixed episodes, so that the interval is about the training alone: what
    another seed would have learned, judged on these very days and draws.

    Parameters
    ----------
    evaluations
        One per training seed.
    level
        Probability that an interval holds its mean, in (0, 1).

    Raises
    ------
    ValueError
        When there is none, or they differ in scenario, episodes, deviators or grid.
    ImportError
        When scipy is not installed.
    """
    if not evaluations:
        raise ValueError("evaluations: must hold at least one")
    first = evaluations[0]
    for i, other in enumerate(evaluations):
        check_setting(i, other.setting, first.setting)
    figures = [e.figures for e in evaluations]
    return SeedFigures(
        agents=first.agents,
        hours=figures[0].hours,
        seeds=len(figures),
        level=level,
        market={k: t_interval([f.market[k] for f in figures], level) for k in figures[0].market},
        by_agent={k: t_interval([f.by_agent[k] for f in figures], level) for k in figures[0].by_agent},
    )
