"""The scaling plot: environment steps per second over the number of environments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def plot_scaling(per_second: Mapping[int, Mapping[str, float]], path: Path) -> None:
    """Draw one line for each side, labelled at its right end; written beside and renamed."""
    names = list(dict.fromkeys(name for rates in per_second.values() for name in rates))
    figure, axes = plt.subplots(figsize=(10, 6), layout="constrained")
    for name in names:
        sizes = [size for size, rates in per_second.items() if name in rates]
        axes.plot(sizes, [per_second[size][name] for size in sizes], marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="environments N", ylabel="environment steps per second")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    beside = path.with_suffix(".tmp")
    figure.savefig(beside, dpi=150, format="png")
    plt.close(figure)
    os.replace(beside, path)
