"""A scenario from tables: a fleet and its demand as CSV files, and renewables to subtract from the demand.

Columns are found by the names below, those of tables made from RTS-GMLC first and plain ones second; an
option names any other. Every row of the hourly tables is one hour.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecmarket.config import Demand, Generator, Number, Scenario

__all__ = ["from_csv"]

_NAME = ("unit_id", "name")
_CAPACITY = ("pmax_mw", "capacity_mw")
_SRMC = ("mc_usd_per_mwh", "srmc")
_DEMAND = ("load_mw", "demand_mw")
_TIMESTAMP = "timestamp"
_HOUR = timedelta(hours=1)
# Not among them: csp_inflow_mw. It is heat that a solar plant's store takes in, not electricity.
_RENEWABLES = ("wind_mw", "pv_mw", "rtpv_mw", "hydro_mw")


def from_csv(
    fleet: str | PathLike[str],
    demand: str | PathLike[str],
    *,
    renewables: str | PathLike[str] | None = None,
    name_column: str | None = None,
    capacity_column: str | None = None,
    srmc_column: str | None = None,
    demand_column: str | None = None,
    timestamp_column: str | None = None,
    renewable_columns: Sequence[str] = _RENEWABLES,
    first_hour: int | None = None,
    noise: Number = 0.0,
    horizon: int = 24,
    episode_start: str = "random_day",
    name: str | None = None,
    **fields: Any,
) -> Scenario:
    """Return a scenario of a fleet and a demand series from tables.

    Parameters
    ----------
    fleet
        One row per unit: its name, capacity (MW) and marginal cost ($/MWh).
    demand
        One row per hour: the demand (MW) and, where there is one, a timestamp in ISO 8601.
    renewables
        One row per hour of `demand`: the output of `renewable_columns` (MW), subtracted from the demand.
    name_column, capacity_column, srmc_column
        Columns of `fleet`; ``unit_id`` or ``name``, ``pmax_mw`` or ``capacity_mw``, ``mc_usd_per_mwh`` or
        ``srmc`` unless given.
    demand_column, timestamp_column
        Columns of `demand`; ``load_mw`` or ``demand_mw``, and ``timestamp`` if there is one, unless given.
    renewable_columns
        Columns of `renewables`.
    first_hour
        Hour of the week of the first row, 0 = Monday 00:00; taken from the first timestamp unless given, and
        0 where there is none. Where it is given, timestamps are not read: rows count as hours as they stand.
    noise
        Standard deviation of the hourly demand noise as a share of the largest demand.
    horizon, episode_start
        Steps in one episode, and where in the series it starts.
    name
        The scenario's label; the name of the fleet's file unless given.
    **fields
        Further fields of `Scenario`, such as ``days``, ``rules`` or ``reward``.

    Raises
    ------
    OSError
        When a file cannot be read.
    TypeError
        When a path is no path, or a column's name no text.
    ValueError
        When a table is empty, lacks a column (the message names those it has), has a bad number or a unit
        twice (it names the lines), when timestamps are not one hour apart in every row (a missing hour, one
        that stands there twice), or when the hourly tables differ in length.
    """
    units = _read("fleet", fleet)
    names = units.texts(_columns("name_column", name_column, _NAME))
    _refuse_duplicates(units, names)
    capacities = units.numbers(_columns("capacity_column", capacity_column, _CAPACITY), least=0.0)
    costs = units.numbers(_columns("srmc_column", srmc_column, _SRMC))

    hours = _read("demand", demand)
    net_mw = hours.numbers(_columns("demand_column", demand_column, _DEMAND))
    if renewables is not None:
        summed = _all_columns("renewable_columns", renewable_columns)
        net_mw = net_mw - _output(_read("renewables", renewables), summed, hours)
    if first_hour is None:
        first_hour = _hour_of_week(hours, timestamp_column)

    return Scenario(
        generators=tuple(map(Generator, capacities.tolist(), costs.tolist(), names)),
        demand=Demand(tuple(net_mw.tolist()), noise=noise, first_hour=first_hour),
        horizon=horizon,
        episode_start=episode_start,
        name=Path(fleet).stem if name is None else name,
        **fields,
    )


@dataclass(frozen=True)
class _Table:
    """A CSV file as text, with the line of every row, so that an error can say where it is."""

    path: str
    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def find(self, names: Sequence[str]) -> int:
        """Return the place of the first column of these names that the table has."""
        for name in names:
            if self.columns.count(name) > 1:
                raise ValueError(f"{self.path}: column {name!r} stands in the header more than once")
            if name in self.columns:
                return self.columns.index(name)
        wanted = " or ".join(map(repr, names))
        raise ValueError(f"{self.path}: no column {wanted}; the columns are {', '.join(self.columns)}")

    def texts(self, names: Sequence[str]) -> list[str]:
        """Return a column as text."""
        column = self.find(names)
        return [row[column].strip() for row in self.rows]

    def numbers(self, names: Sequence[str], least: float = -math.inf) -> NDArray[np.float64]:
        """Return a column as finite numbers of at least `least`, shape (rows,)."""
        column = self.find(names)
        values = np.empty(len(self.rows))
        for i, row in enumerate(self.rows):
            try:
                values[i] = _number(row[column])
            except ValueError:
                raise ValueError(f"{self.place(i, column)}: not a number: {row[column]!r}") from None
            if not math.isfinite(values[i]):
                raise ValueError(f"{self.place(i, column)}: must be finite, got {row[column]!r}")
            if values[i] < least:
                raise ValueError(f"{self.place(i, column)}: must be at least {least:g}, got {row[column]!r}")
        return values

    def place(self, row: int, column: int) -> str:
        """Return a cell's place as a message names it."""
        return f"{self.path}, line {self.lines[row]}, column {self.columns[column]!r}"


def _columns(option: str, given: str | None, usual: Sequence[str]) -> Sequence[str]:
    """Return the names under which a column is looked for."""
    if given is None:
        return usual
    if not isinstance(given, str):
        raise TypeError(f"{option}: must be the name of a column or None, got {given!r}")
    return (given,)


def _all_columns(option: str, given: Sequence[str]) -> Sequence[str]:
    """Return names of columns that are all wanted."""
    names = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{option}: must be names of columns, got {given!r}")
    return names


def _number(text: str) -> float:
    """Return a cell's number; Python's own underscores, as in 1_000, belong in no table."""
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _read(option: str, path: str | PathLike[str]) -> _Table:
    """Read a CSV file with a header; a byte-order mark, any line ends and empty lines are fine."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"{option}: must be a path, got {path!r}")
    source = str(path)
    rows, lines = [], []
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
        except UnicodeDecodeError as error:
            raise ValueError(f"{source}: not a text in UTF-8: {error}") from None
        except csv.Error as error:
            raise ValueError(f"{source}, line {reader.line_num}: {error}") from None
    if not rows:
        raise ValueError(f"{source}: the file is empty")
    columns = [name.strip() for name in rows[0]]
    if len(rows) == 1:
        raise ValueError(f"{source}: no rows under the header")
    for row, line in zip(rows[1:], lines[1:], strict=True):
        if len(row) != len(columns):
            raise ValueError(f"{source}, line {line}: {len(row)} values under {len(columns)} columns")
    return _Table(source, columns, rows[1:], lines[1:])


def _refuse_duplicates(units: _Table, names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for name, line in zip(names, units.lines, strict=True):
        if not name:
            raise ValueError(f"{units.path}, line {line}: the unit has no name")
        if name in seen:
            raise ValueError(f"{units.path}, line {line}: unit {name!r} stands on line {seen[name]} already")
        seen[name] = line


def _output(renewables: _Table, columns: Sequence[str], hours: _Table) -> NDArray[np.float64]:
    """Return the renewables' output of every hour, all columns together, MW."""
    if len(renewables.rows) != len(hours.rows):
        raise ValueError(
            f"{renewables.path} has {len(renewables.rows)} hours, but {hours.path} has {len(hours.rows)}"
        )
    total = np.zeros(len(hours.rows))
    for column in columns:
        total += renewables.numbers((column,))
    return total


def _hour_of_week(hours: _Table, timestamp_column: str | None) -> int:
    """Return the hour of the week of the first timestamp, 0 = Monday 00:00, and 0 without timestamps.

    Every row has to be one hour after the one before it. Timestamps with a zone are compared as points in
    time, so that clocks that change are fine; without one they are taken for clocks that never do.
    """
    if timestamp_column is None and _TIMESTAMP not in hours.columns:
        return 0
    column = hours.find(_columns("timestamp_column", timestamp_column, (_TIMESTAMP,)))
    first = before = _timestamp(hours, 0, column)
    for row in range(1, len(hours.rows)):
        now = _timestamp(hours, row, column)
        zones_agree = (now.tzinfo is None) == (before.tzinfo is None)
        if not zones_agree or now - before != _HOUR:
            place = hours.place(row, column)
            one, two = (hours.rows[r][column].strip() for r in (row - 1, row))
            if not zones_agree:
                raise ValueError(
                    f"{place}: all rows must have a time zone, or none, got {two!r} after {one!r}"
                )
            step = now - before
            apart = f"-{-step}" if step < timedelta(0) else str(step)
            raise ValueError(f"{place}: rows must be one hour apart, got {apart} from {one!r} to {two!r}")
        before = now
    return first.weekday() * 24 + first.hour


def _timestamp(hours: _Table, row: int, column: int) -> datetime:
    text = hours.rows[row][column].strip()
    try:
        # Python 3.10 does not read the Z of UTC.
        return datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise ValueError(f"{hours.place(row, column)}: not a timestamp in ISO 8601: {text!r}") from None
