"""One picture of an evaluation: a day of prices and demand, and the merit order at its telling hour."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecmarket.files import write_atomically

if TYPE_CHECKING:
    from typing import TypeAlias

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from vecmarket.evaluation import Evaluation, Play

    FloatArray: TypeAlias = NDArray[np.float64]

__all__ = ["draw", "save_png"]

# Okabe and Ito's palette, told apart with any colour vision; line styles differ as well.
GREY, BLUE, ORANGE, GREEN = "#6b6b6b", "#0072B2", "#D55E00", "#009E73"
FLEET, EDGE = "#d9dde3", "#8a93a0"

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def save_png(evaluation: Evaluation, path: str | PathLike[str]) -> Path:
    """Draw the evaluation and write it as a PNG.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    content = io.BytesIO()
    draw(evaluation).savefig(content, format="png", dpi=150)
    write_atomically(path, content.getvalue())
    return path


def draw(evaluation: Evaluation) -> Figure:
    """Draw the day on which the best reply gains most over truthful bidding, and its telling hour.

    The telling hour is the one in which the policy moves the learner's profit most, away from truthful
    bidding; where it moves nothing, the one in which the best reply does, or else the hour of most demand.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    honest = evaluation.truthful.profit
    gain = evaluation.best_profit.profit - honest
    episode = int(gain.sum(axis=1).argmax())
    moved = np.abs(evaluation.policy.profit - honest)[episode]
    telling = (moved, gain[episode], evaluation.truthful.demand[episode])
    step = int(next((x for x in telling if x.max() > 1e-6), moved).argmax())

    figure = Figure(figsize=(13, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplot_mosaic(
        [["prices", "merit order"], ["demand", "merit order"]], height_ratios=(3, 1), width_ratios=(1, 1)
    )
    _draw_prices(panels["prices"], evaluation, episode, step)
    _draw_demand(panels["demand"], evaluation, episode, step)
    _draw_merit_order(panels["merit order"], evaluation, episode, step)
    for axes in panels.values():
        axes.spines[["top", "right"]].set_visible(False)
    figure.align_ylabels([panels["prices"], panels["demand"]])
    return figure


def _draw_prices(axes: Axes, evaluation: Evaluation, episode: int, step: int) -> None:
    lines: tuple[tuple[str, Play, str, str, float], ...] = (
        ("best reply", evaluation.best_profit, GREEN, ":", 2.6),
        ("policy", evaluation.policy, ORANGE, "-", 2.4),
        ("truthful", evaluation.truthful, BLUE, "--", 2.0),
    )
    for name, played, colour, style, width in lines:
        label = f"{name}: {played.profit[episode].mean():,.0f} \\$/h"
        axes.step(*_steps(played.price[episode]), where="post", color=colour, ls=style, lw=width, label=label)
    low, high = axes.get_ylim()
    bottom, prices_reach = min(0.0, low), 0.7  # of the axis; the legend has the rest
    axes.set_ylim(bottom, bottom + (high - bottom) / prices_reach)
    _mark_hour(axes, evaluation, step, prices_reach)
    axes.tick_params(labelbottom=False)
    axes.set_ylabel("clearing price ($/MWh)")
    axes.set_title(_day_title(evaluation, episode), loc="left", fontsize=11)
    title = f"mean profit of {evaluation.learner} in this episode"
    axes.legend(loc="upper left", frameon=False, title=title, alignment="left")


def _draw_demand(axes: Axes, evaluation: Evaluation, episode: int, step: int) -> None:
    load = evaluation.truthful.demand[episode]
    axes.fill_between(*_steps(load), step="post", color=FLEET, linewidth=0)
    axes.step(*_steps(load), where="post", color=EDGE, linewidth=1.4)
    axes.set_ylim(min(0.0, 1.1 * load.min()), max(1.0, 1.1 * load.max()))
    _mark_hour(axes, evaluation, step, 1.0)
    axes.set_xlabel("hour of the episode")
    axes.set_ylabel("demand (MW)")


def _draw_merit_order(axes: Axes, evaluation: Evaluation, episode: int, step: int) -> None:
    played, me = evaluation.policy, evaluation.episodes.learner
    prices, quantities = played.all_prices[episode, step], played.all_quantities[episode, step]
    load, price, srmc = (x[episode, step] for x in (played.demand, played.price, played.srmc))
    order = np.argsort(prices, kind="stable")
    left = np.cumsum(quantities[order]) - quantities[order]
    place = int(np.flatnonzero(order == me)[0])
    rivals = np.arange(len(order)) != place

    axes.bar(
        left[rivals],
        prices[order][rivals],
        width=quantities[order][rivals],
        align="edge",
        color=FLEET,
        edgecolor=EDGE,
        linewidth=0.6 if len(order) <= 40 else 0.2,
        label="rivals' offers",
    )
    if quantities[me] > 0:
        mine = f"{evaluation.learner}'s offer: {quantities[me]:,.0f} MW at {prices[me]:,.2f} \\$/MWh"
        axes.bar(left[place], prices[me], width=quantities[me], align="edge", color=ORANGE, label=mine)
        span = (left[place], left[place] + quantities[me])
        cost = f"its SRMC: {srmc:,.2f} \\$/MWh"
        axes.plot(span, (srmc, srmc), color="black", lw=2, solid_capstyle="butt", label=cost)
    axes.axhline(price, color=BLUE, lw=1.4, ls="--", label=f"clearing price: {price:,.2f} \\$/MWh")
    axes.axvline(load, color="black", lw=1.4, ls="-.", label=f"demand: {load:,.0f} MW")
    axes.set_xlim(min(0.0, 1.04 * load), 1.04 * max(quantities.sum(), load, 1.0))
    axes.set_ylim(min(0.0, 1.1 * prices.min()), _top_price(prices, quantities, load, price, srmc))
    axes.set_xlabel("cumulative offered capacity (MW)")
    axes.set_ylabel("offer price ($/MWh)")
    axes.set_title(_hour_title(evaluation, episode, step), loc="left", fontsize=11)
    handles, labels = axes.get_legend_handles_labels()
    offers_first = sorted(range(len(labels)), key=lambda i: "offer" not in labels[i])
    axes.legend(
        [handles[i] for i in offers_first],
        [labels[i] for i in offers_first],
        loc="upper left",
        framealpha=1,
        edgecolor="white",
    )


def _steps(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return hourly values as the corners of a step line whose last hour has its full width."""
    return np.arange(len(values) + 1.0), np.append(values, values[-1])


def _mark_hour(axes: Axes, evaluation: Evaluation, step: int, top: float) -> None:
    """Shade the telling hour up to a share of the axis, and lay out the hours of the episode."""
    horizon = evaluation.episodes.scenario.horizon
    axes.axvspan(step, step + 1, ymax=top, color=GREY, alpha=0.16, linewidth=0)
    axes.set_xlim(0, horizon)
    if horizon % 3 == 0 and horizon <= 24:
        axes.set_xticks(range(0, horizon + 1, 3))


def _top_price(prices: FloatArray, quantities: FloatArray, load: float, price: float, srmc: float) -> float:
    """Return the upper end of the price axis: it shows the units near demand, not the dearest peaker."""
    order = np.argsort(prices, kind="stable")
    reached = np.cumsum(quantities[order]) - quantities[order] <= 1.12 * load
    shown = prices[order][reached & (quantities[order] > 0)]
    return 1.6 * max(float(shown.max(initial=0.0)), price, srmc, 1.0)


def _day_title(evaluation: Evaluation, episode: int) -> str:
    fixed = evaluation.episodes
    day = fixed.days[episode]
    if fixed.scenario.episode_start == "first":
        return f"{fixed.scenario.name}, evaluation episode {episode + 1} of {len(fixed)}"
    weekday = WEEKDAYS[(day + fixed.scenario.demand.first_hour // 24) % 7]
    kind = "held-out day" if evaluation.held_out else "day"
    return f"{fixed.scenario.name}, {kind} {day + 1} of the series ({weekday}, week {day // 7 + 1})"


def _hour_title(evaluation: Evaluation, episode: int, step: int) -> str:
    capacity = evaluation.truthful.offer_mw[episode, step]
    offered, runs = evaluation.policy.offer_mw[episode, step], evaluation.policy.dispatch[episode, step]
    return (
        f"Shaded hour: {evaluation.learner} offers {offered:,.0f} of {capacity:,.0f} MW, {runs:,.0f} MW run"
    )
