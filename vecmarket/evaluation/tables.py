"""Print an evaluation as a table, and write it as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from vecmarket.files import write_atomically

if TYPE_CHECKING:
    from rich.console import Console

    from vecmarket.evaluation.comparison import Evaluation, Metric

__all__ = ["print_table", "save"]

HOUR_COLUMNS = (
    "demand",
    "price",
    "offer_price",
    "offer_mw",
    "dispatch",
    "profit",
    "reward",
    "unserved",
    "consumer_cost",
    "production_cost",
)


def print_table(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the comparison with rich: one row per figure, one column per way of bidding."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    fixed = evaluation.episodes
    generator = fixed.scenario.generators[fixed.learner]
    table = Table(
        title=escape(
            f"{fixed.scenario.name}: {evaluation.learner} ({_size(generator.capacity_mw, generator.srmc)})"
        ),
        caption=_caption(evaluation),
        caption_justify="left",
    )
    table.add_column("mean over all hours", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for name in ("truthful", "policy", "best reply"):
        table.add_column(name, justify="right", no_wrap=True)
    for metric in evaluation.metrics():
        if metric.key == "profit_share":
            table.add_section()
        values = (metric.truthful, metric.policy, metric.best)
        style = "bold" if metric.key in ("price", "profit", "profit_share") else None
        table.add_row(metric.label, metric.unit, *(_number(metric, v) for v in values), style=style)
    (console or Console()).print(table)


def save(evaluation: Evaluation, directory: str | PathLike[str]) -> tuple[Path, Path]:
    """Write ``evaluation.json`` (the comparison) and ``evaluation.csv`` (every hour) into a directory.

    Returns
    -------
    tuple of Path
        The two files.
    """
    json_path, csv_path = (Path(directory) / f"evaluation.{kind}" for kind in ("json", "csv"))
    write_atomically(json_path, json.dumps(as_dict(evaluation), indent=2).encode())
    hours = io.StringIO(newline="")
    _write_hours(evaluation, hours)
    write_atomically(csv_path, hours.getvalue().encode())
    return json_path, csv_path


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Return the comparison as plain values, ready for JSON."""
    fixed = evaluation.episodes
    return {
        "scenario": fixed.scenario.name,
        "learner": evaluation.learner,
        "episodes": len(fixed),
        "hours": len(fixed) * fixed.scenario.horizon,
        "days": sorted(set(fixed.days)),
        "metrics": {
            m.key: {
                "label": m.label,
                "unit": m.unit,
                "truthful": m.truthful,
                "policy": m.policy,
                "best": m.best,
            }
            for m in evaluation.metrics()
        },
    }


def _write_hours(evaluation: Evaluation, file: IO[str]) -> None:
    writer = csv.writer(file)
    writer.writerow(["bidding", "episode", "day", "step", "hour", *HOUR_COLUMNS])
    plays = {
        "truthful": evaluation.truthful,
        "policy": evaluation.policy,
        "best_profit": evaluation.best_profit,
        "best_reward": evaluation.best_reward,
    }
    days = evaluation.episodes.days
    for name, played in plays.items():
        columns = np.stack([getattr(played, c) for c in HOUR_COLUMNS], axis=2)  # (N, T, columns)
        for episode, rows in enumerate(columns.tolist()):
            for step, row in enumerate(rows):
                hour = int(played.hour[episode, step])
                writer.writerow([name, episode, days[episode], step, hour, *(f"{v:.6g}" for v in row)])


def _number(metric: Metric, value: float | None) -> str:
    if value is None:
        return "-"
    digits = {"$/h": 1, "%": 1, "MW": 1, "": 4, "MWh/h": 3}.get(metric.unit, 2)
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text


def _size(capacity: object, srmc: object) -> str:
    drawn = "drawn anew each episode"
    mw = f"{capacity:g} MW" if isinstance(capacity, float | int) else f"capacity {drawn}"
    cost = f"SRMC {srmc:.2f} $/MWh" if isinstance(srmc, float | int) else f"SRMC {drawn}"
    return f"{mw}, {cost}"


def _caption(evaluation: Evaluation) -> str:
    fixed = evaluation.episodes
    days = len(set(fixed.days))
    played = f"{len(fixed)} fixed episodes of {fixed.scenario.horizon} h"
    where = f" on {days} days that training leaves out" if evaluation.held_out else ""
    return (
        f"{played}{where}. Best reply: by profit (its return: by reward), hour by hour, over a grid. "
        "Return: rewards, which are profit less penalties, also in hours in which the unit stands still. "
        "While running: mean over the hours with dispatch > 0. "
        "Welfare loss: extra production cost against truthful bidding."
    )
