"""One picture of a run: price, profits and exploitability of every round, and whether they settle."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecmarket.files import write_atomically
from vecmarket.plots.evaluation import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vecmarket.evaluation import Dynamics, Rounds

__all__ = ["draw_rounds", "save_rounds_png"]

# Okabe and Ito's palette without yellow, which is too light on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":")
MARKED = 40  # rounds up to which each is marked with a dot
NAMED = 12  # agents up to which each line is named


def save_rounds_png(
    rounds: Rounds, path: str | PathLike[str], *, window: int = 5, tolerance: float = 0.01
) -> Path:
    """Draw the rounds and write them as a PNG.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    content = io.BytesIO()
    draw_rounds(rounds, window=window, tolerance=tolerance).savefig(content, format="png", dpi=150)
    write_atomically(path, content.getvalue())
    return path


def draw_rounds(rounds: Rounds, *, window: int = 5, tolerance: float = 0.01) -> Figure:
    """Draw price, profits and exploitability over the rounds; titles say how each series ends.

    `window` and `tolerance` are those of `Rounds.dynamics`. Shaded are the rounds since a series settled, the
    last period of a cycle, or those among which a drift was found.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    judged = rounds.dynamics(window=window, tolerance=tolerance)
    figure = Figure(figsize=(9, 8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplot_mosaic([["price"], ["profit"], ["exploitability"]], sharex=True)
    marker = "." if len(rounds) <= MARKED else ""
    number = np.arange(len(rounds))

    axes = panels["price"]
    axes.plot(number, rounds.price, color=BLUE, marker=marker, lw=1.8)
    axes.set_ylabel("price ($/MWh)")
    axes = panels["profit"]
    for place, name in enumerate(rounds.agents):
        style = STYLES[place // len(COLOURS) % len(STYLES)]
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(number, rounds.profit[:, place], color=colour, ls=style, marker=marker, lw=1.6, label=name)
    axes.set_ylabel("profit ($/h)")
    if len(rounds.agents) <= NAMED:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes = panels["exploitability"]
    axes.plot(number, rounds.exploitability, color=ORANGE, marker=marker, lw=1.8)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("exploitability ($/h)")
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    for name, axes in panels.items():
        _finish(axes, name, judged[name])
    figure.align_ylabels(list(panels.values()))
    return figure


def _finish(axes: Axes, name: str, dynamics: Dynamics) -> None:
    last = dynamics.rounds - 1
    first = dynamics.rounds - dynamics.judged
    if dynamics.period is not None:
        first = last - dynamics.period
    elif dynamics.settled_from is not None:
        first = dynamics.settled_from
    axes.axvspan(first, last, color=GREY, alpha=0.13, linewidth=0)
    axes.set_title(f"{name} {dynamics}", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(-0.3, last + 0.3)
