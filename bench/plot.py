"""The scaling plot: environment steps per second over the number of environments."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from vecmarket.files import write_atomically

VECMARKET = ("#7fb2f0", "#0b3d91", "#00a0b0")  # one thread first
OTHERS = ("#d1660f", "#3a8f4d", "#8a5a9e")
FLOOR = "#333333"


class Panel(NamedTuple):
    """One half of the figure: names of the sides whose rates are drawn."""

    title: str
    ours: Sequence[str]
    others: Sequence[str]
    floor: str  # the copy of the bytes, which no step on one thread can beat


def plot_scaling(per_second: Mapping[int, Mapping[str, float]], panels: Sequence[Panel], path: Path) -> None:
    """Draw the panels, which share their axes.

    `per_second` holds environment steps per second by N and side, and a side is drawn over the N at which it
    was measured.
    """
    figure, every = plt.subplots(
        1, len(panels), figsize=(13, 6), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, panel in zip(every[0], panels, strict=True):
        # Where threads gain nothing their lines coincide: the thinner ones lie above, so that all are seen.
        for place, (name, colour) in enumerate(zip(panel.ours, VECMARKET, strict=False)):
            _line(
                axes,
                per_second,
                name,
                colour,
                marker="o",
                markersize=7 - 2 * place,
                linewidth=4 - 1.3 * place,
            )
        for name, colour in zip(panel.others, OTHERS, strict=False):
            _line(axes, per_second, name, colour, marker="s", markersize=4, linewidth=1.5)
        _line(axes, per_second, panel.floor, FLOOR, linestyle=(0, (4, 3)), linewidth=1.2)
        _dress(axes, panel.title, sorted(per_second))
    every[0][0].set_ylabel("environment steps per second")
    content = io.BytesIO()
    figure.savefig(content, dpi=140, format="png")
    plt.close(figure)
    write_atomically(path, content.getvalue())


def _line(
    axes: Axes, per_second: Mapping[int, Mapping[str, float]], name: str, colour: str, **style: object
) -> None:
    sizes = [size for size, rates in per_second.items() if name in rates]
    rates = [per_second[size][name] for size in sizes]
    axes.plot(sizes, rates, color=colour, label=name, **style)  # type: ignore[arg-type]


def _dress(axes: Axes, title: str, sizes: Sequence[int]) -> None:
    axes.set_title(title, fontsize=11)
    axes.set(xscale="log", yscale="log", xlabel="environments N")
    apart: list[int] = []  # labels nearer than that would overlap
    for size in sizes:
        if not apart or size >= 4 * apart[-1]:
            apart.append(size)
    axes.xaxis.set_major_locator(FixedLocator(apart))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(apart, [f"{size:,}".replace(",", " ") for size in apart])
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=9, frameon=False)
