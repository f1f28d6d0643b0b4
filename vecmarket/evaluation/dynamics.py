"""Whether the rounds of a game settle, go round in a cycle, or drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from vecmarket.checks import whole_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Dynamics", "diagnose"]

FEWEST_COMPARISONS = 4
"""Rounds that a cycle has to say right before it counts as one."""


@dataclass(frozen=True)
class Dynamics:
    """How a series of rounds ends.

    Attributes
    ----------
    kind
        ``"settled"``: within the tolerance over the last `window` rounds. ``"cycling"``: not settled, and a
        period was found. ``"drifting"``: neither. ``"short"``: fewer rounds than the window.
    rounds, judged, window
        Rounds in all, those at the end in which a cycle or a drift was found, and those that have to agree
        for the series to be settled.
    tolerance
        In the unit of the values.
    spread
        Largest range (most less least) of any number over the last `window` rounds.
    settled_from
        First round, counted from 0, from which on no number leaves a range of the tolerance; None where the
        series is not settled.
    period
        Rounds in a cycle; None where there is none.
    amplitude
        Largest range of any number over the last period, or over the rounds judged where there is none.
    mismatch
        How far the rounds are from those one period before: the root mean square difference, as a share of
        what it is between unrelated rounds (0 is a perfect cycle, about 1 is noise); without a period, the
        smallest that any lag from 2 rounds on has. None where too few rounds were judged.
    drift
        Slope per round over the rounds judged, by least squares, of the number that has the largest one.
    directness
        Net change of that number over the length of its way, in [0, 1]: 1 where it only rises or only falls.
    """

    kind: Literal["settled", "cycling", "drifting", "short"]
    rounds: int
    judged: int
    window: int
    tolerance: float
    spread: float
    settled_from: int | None
    period: int | None
    amplitude: float
    mismatch: float | None
    drift: float
    directness: float

    def __str__(self) -> str:
        if self.kind == "settled":
            return (
                f"settled since round {self.settled_from}: "
                f"within {self.spread:.3g} over the last {self.window} rounds"
            )
        if self.kind == "cycling":
            return (
                f"cycling: period {self.period} rounds, amplitude {self.amplitude:.4g}, "
                f"mismatch {100 * (self.mismatch or 0.0):.0f} %"
            )
        if self.kind == "drifting":
            way = f"{self.drift:+.3g} a round" if self.directness >= 0.5 else "without a direction"
            return f"drifting: range {self.amplitude:.4g} over the last {self.judged} rounds, {way}"
        return f"too short to tell: {self.rounds} of the {self.window} rounds that have to agree"


def diagnose(
    values: ArrayLike,
    *,
    window: int = 5,
    tolerance: float | None = None,
    judged: int | None = None,
    most_mismatch: float = 0.25,
) -> Dynamics:
    """Say whether a series of rounds settles, cycles or drifts.

    Parameters
    ----------
    values
        Prices, profits or actions of every round, (R, ...), all in one unit.
    window
        Rounds at the end that have to agree, at least 2.
    tolerance
        How far apart numbers may lie that agree, in the unit of the values; 1 % of their mean absolute value
        over the rounds judged when None.
    judged
        Rounds at the end in which a cycle or a drift is looked for, more where two periods take more; the
        last half, at least two windows, when None.
    most_mismatch
        What a cycle's `mismatch` may be.

    Raises
    ------
    ValueError
        When there is no round, a value is not finite, or a setting is out of range.

    Notes
    -----
    Differences at a lag find the period, as in the average magnitude difference function of Ross et al.,
    IEEE Transactions on Acoustics, Speech, and Signal Processing 22 (1974), here in squares as in YIN (de
    Cheveigne and Kawahara, Journal of the Acoustical Society of America 111, 2002). d(p)^2 is the mean square
    difference of rounds p apart, over twice the variance of the rounds judged, which is 1 for unrelated
    rounds. A period is the first lag at which d falls to `most_mismatch` again after it was above, so that a
    slow trend, whose d only rises, is none, followed down to the local minimum. Lags run from 2 to half of
    all rounds, and leave at least 4 comparisons: a cycle counts once it was seen twice.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim == 0 or series.size == 0:
        raise ValueError("values: must hold at least one round")
    series = series.reshape(len(series), -1)
    if not np.isfinite(series).all():
        raise ValueError(f"values[{int(np.argwhere(~np.isfinite(series))[0, 0])}]: must be finite")
    window = whole_number("window", window, least=2)
    rounds = len(series)
    judged = max(rounds // 2, 2 * window) if judged is None else whole_number("judged", judged, least=2)
    tail = series[-judged:]
    if tolerance is None:
        tolerance = 0.01 * float(np.abs(tail).mean())
    if not tolerance >= 0:
        raise ValueError(f"tolerance: must be >= 0, got {tolerance}")

    spread = _range(series[-window:])
    settled = rounds >= window and spread <= tolerance
    period, mismatch = _period(series, judged, most_mismatch)
    if settled or rounds < window:
        period = None
    if period is not None:
        tail = series[-max(judged, 2 * period) :]
    drift, directness = _drift(tail)
    kind: Literal["settled", "cycling", "drifting", "short"] = "drifting"
    if rounds < window:
        kind = "short"
    elif settled:
        kind = "settled"
    elif period is not None:
        kind = "cycling"
    return Dynamics(
        kind=kind,
        rounds=rounds,
        judged=len(tail),
        window=window,
        tolerance=tolerance,
        spread=spread,
        settled_from=_settled_from(series, tolerance) if settled else None,
        period=period,
        amplitude=_range(tail if period is None else tail[-period:]),
        mismatch=mismatch,
        drift=drift,
        directness=directness,
    )


def _range(rounds: NDArray[np.float64]) -> float:
    return float(np.ptp(rounds, axis=0).max())


def _settled_from(series: NDArray[np.float64], tolerance: float) -> int:
    """Return the first round from which on the range of every number stays within the tolerance."""
    last_first = series[::-1]
    ranges = np.maximum.accumulate(last_first) - np.minimum.accumulate(last_first)
    return len(series) - int((ranges.max(axis=1) <= tolerance).sum())


def _period(
    series: NDArray[np.float64], judged: int, most_mismatch: float
) -> tuple[int | None, float | None]:
    """Return the period and its mismatch, or no period and the smallest mismatch of any lag from 2 on."""
    longest = min(len(series) // 2, len(series) - FEWEST_COMPARISONS)
    if longest < 2:
        return None, None
    mismatch = np.array([_mismatch(series[-max(judged, 2 * p) :], p) for p in range(1, longest + 1)])
    above = np.maximum.accumulate(mismatch) > most_mismatch
    found = np.flatnonzero(above & (mismatch <= most_mismatch))
    if not len(found):
        return None, float(mismatch[1:].min())
    k = int(found[0])
    while k + 1 < len(mismatch) and mismatch[k + 1] < mismatch[k]:
        k += 1
    return k + 1, float(mismatch[k])


def _mismatch(tail: NDArray[np.float64], lag: int) -> float:
    """Return d(lag): 0 where rounds a lag apart are equal, about 1 where they are unrelated."""
    unrelated = 2 * float(((tail - tail.mean(axis=0)) ** 2).sum(axis=1).mean())
    apart = float(((tail[lag:] - tail[:-lag]) ** 2).sum(axis=1).mean())
    return float(np.sqrt(apart / unrelated)) if unrelated > 0 else 0.0


def _drift(tail: NDArray[np.float64]) -> tuple[float, float]:
    """Return the largest slope per round of any number, and how straight that number goes its way."""
    if len(tail) < 2:
        return 0.0, 0.0
    t = np.arange(len(tail)) - (len(tail) - 1) / 2
    slopes = t @ tail / (t @ t)
    k = int(np.abs(slopes).argmax())
    way = float(np.abs(np.diff(tail[:, k])).sum())
    return float(slopes[k]), float(abs(tail[-1, k] - tail[0, k]) / way) if way > 0 else 0.0
