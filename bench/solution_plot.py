"""The picture of times to solution: shares over seconds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray

from bench.judge import Course
from bench.solution import SHARES, Results
from vecmarket.files import write_atomically

COLOURS = ("#0b3d91", "#00a0b0", "#d1660f", "#8a5a9e")
MOMENTS = 400  # of the median's curve
FEW = 40  # updates of a run; where there are no more, each is shown


def plot_shares(results: Results, path: Path) -> None:
    """Draw a panel for each agent: share of the gain by profit over seconds, every run and the median."""
    methods = list(dict.fromkeys(cell.method for cell in results))
    agents = list(dict.fromkeys(cell.agent for cell in results))
    figure, every = plt.subplots(
        1, len(agents), figsize=(6.5 * len(agents), 5.5), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, agent in zip(every[0], agents, strict=True):
        for colour, method in zip(COLOURS, methods, strict=False):
            courses = {cell.method: runs for cell, runs in results.items() if cell.agent == agent}.get(method)
            if courses:
                _runs(axes, courses, colour, method)
        _dress(axes, agent)
    every[0][0].set_ylabel("share of the best-response gain")
    handles, labels = every[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * len(agents), frameon=False)
    content = io.BytesIO()
    figure.savefig(content, dpi=140, format="png")
    plt.close(figure)
    write_atomically(path, content.getvalue())


def median_course(courses: Sequence[Course]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return moments and the median share by profit at each.

    A run has the share that was last judged. The curve begins when every run has been judged, and ends when
    half of them are over.
    """
    first = max(course[0].seconds for course in courses)
    last = float(np.median([course[-1].seconds for course in courses]))
    moments = np.geomspace(first, max(first, last), MOMENTS)
    shares = [
        np.array([at.shares.profit for at in course])[
            np.searchsorted([at.seconds for at in course], moments, side="right") - 1
        ]
        for course in courses
    ]
    return moments, np.median(shares, axis=0)


def _runs(axes: Axes, courses: Sequence[Course], colour: str, method: str) -> None:
    marker = "o" if max(map(len, courses)) < FEW else "none"
    for course in courses:
        seconds, shares = [at.seconds for at in course], [at.shares.profit for at in course]
        axes.plot(
            seconds, shares, color=colour, linewidth=0.6, marker=marker, markersize=2.5, alpha=0.5, zorder=2
        )
    axes.plot(*median_course(courses), color=colour, linewidth=2.6, label=method, zorder=3)


def _dress(axes: Axes, agent: int) -> None:
    axes.set_title(f"agent {agent}", fontsize=11)
    axes.set(xscale="log", xlabel="seconds of training", ylim=(0.0, 1.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    for share in SHARES:
        axes.axhline(share, color="#999999", linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.grid(True, which="major", axis="x", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
