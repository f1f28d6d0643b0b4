"""The tables of times to solution, made from the courses of all runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from bench.judge import DAYS, Course, Spread, seconds_until
from bench.methods import Budget, Method
from bench.report import Table

KIND = "time to solution"
SHARES = (0.5, 0.8, 0.9, 0.95)


class Cell(NamedTuple):
    """Which runs: those of one method for one agent."""

    agent: int
    method: str


class Mark(NamedTuple):
    """What a figure of these tables is of; a share of None is the share at the end of the run."""

    agent: int
    method: str
    share: float | None


Results: TypeAlias = Mapping[Cell, Sequence[Course]]  # one course per seed


def tables(agent: int, results: Results, budgets: Mapping[str, Budget]) -> list[Table]:
    """Return the tables of one agent: seconds until each share, and where the runs ended."""
    found = {cell.method: courses for cell, courses in results.items() if cell.agent == agent}
    return [_until(agent, found), _ends(agent, found, budgets)]


def survey(methods: Sequence[Method], absent: Mapping[str, str]) -> Table:
    """Return the table that says what each method is, and whether it could be had."""
    rows = [[method.name, method.does, absent.get(method.name, "measured")] for method in methods]
    return Table(
        "What the methods are", "Methods that could not be had say so.", ["", "", "in this run"], rows
    )


def _until(agent: int, found: Mapping[str, Sequence[Course]]) -> Table:
    rows: list[list[str]] = []
    figures: dict[Mark, float] = {}
    for share in SHARES:
        for method, courses in found.items():
            row = [f"{share:.0%}", method]
            for measure in ("profit", "reward"):
                times = [seconds_until(course, share, measure) for course in courses]
                row += [spread(times, seconds), f"{sum(map(math.isfinite, times))} of {len(times)}"]
                if measure == "profit":
                    figures[Mark(agent, method, share)] = Spread.of(times).median
            rows.append(row)
    ends = {method: [course[-1].shares.profit for course in courses] for method, courses in found.items()}
    figures |= {Mark(agent, method, None): Spread.of(shares).median for method, shares in ends.items()}
    note = (
        f"Seconds of training until agent {agent}'s policy first had that share of its best-response gain "
        f"over truthful bidding, on {DAYS} days: median (least to most) over seeds, and how many runs had "
        "it. A run that never had it counts as infinitely long. By profit, and by reward, which has a best "
        "response of its own."
    )
    header = ["share", "method", "by profit, s", "runs", "by reward, s", "runs"]
    return Table(f"Agent {agent}: time to solution", note, header, rows, kind=KIND, figures=figures)


def _ends(agent: int, found: Mapping[str, Sequence[Course]], budgets: Mapping[str, Budget]) -> Table:
    rows = [
        [
            method,
            str(budgets[method]),
            spread([course[-1].seconds for course in courses], seconds),
            *(
                spread([getattr(course[-1].shares, measure) for course in courses], percent)
                for measure in ("profit", "reward")
            ),
        ]
        for method, courses in found.items()
    ]
    note = "The whole run of each method, and the share that its last policy has: median (least to most)."
    header = ["method", "run", "seconds", "share by profit", "share by reward"]
    return Table(f"Agent {agent}: where the runs end", note, header, rows)


def seconds(value: float) -> str:
    """Return seconds with three digits."""
    if math.isinf(value):
        return "not reached"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def percent(share: float) -> str:
    """Return a share in per cent with a decimal."""
    return f"{share:.1%}"


def spread(values: Sequence[float], write: Callable[[float], str]) -> str:
    """Return the median of values, and in brackets the least and the most."""
    median, least, most = (write(value) for value in Spread.of(values))
    return median if least == most else f"{median} ({least} to {most})"
