"""What a run tells while it trains: a progress bar, metrics.csv and TensorBoard."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.writer import SummaryWriter

from vecmarket.files import errors_name, write_atomically

__all__ = ["METRICS_FILE", "CsvLog", "Log", "ProgressLog", "RunLog", "TensorBoardLog"]

METRICS_FILE = "metrics.csv"
"""Name of the table in a run's folder; one row an iteration."""


class Log(Protocol):
    """Takes one row of figures per iteration; every row has the same keys."""

    def write(self, row: Mapping[str, float]) -> None:
        """Take a row; "iteration" counts from 1."""

    def sync(self) -> None:
        """Bring all rows so far to the disk: a checkpoint is about to be written."""

    def close(self) -> None:
        """Finish."""


class CsvLog:
    """Rows as a CSV file; a figure that is not finite is left empty.

    A run that goes on from iteration k keeps the rows up to k and drops what was written after its
    checkpoint, so that no row is there twice.

    Parameters
    ----------
    path
        The file.
    iteration
        The iteration that the run goes on from; 0 for a new run.
    """

    def __init__(self, path: Path, iteration: int) -> None:
        kept = _rows_until(path, iteration) if path.exists() else []
        text = io.StringIO(newline="")
        csv.writer(text).writerows(kept)
        write_atomically(path, text.getvalue().encode())
        self._columns = kept[0] if kept else []
        self._path = path
        self._file: IO[str] = path.open("a", newline="")
        self._writer = csv.writer(self._file)

    def write(self, row: Mapping[str, float]) -> None:
        """Append a row; the first one names the columns."""
        with errors_name(self._path):
            if not self._columns:
                self._columns = list(row)
                self._writer.writerow(self._columns)
            self._writer.writerow([_cell(row[name]) for name in self._columns])
            self._file.flush()

    def sync(self) -> None:
        """Bring the rows to the disk."""
        with errors_name(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        with errors_name(self._path):  # what a full disk did not take is tried once more
            self._file.close()


class TensorBoardLog:
    """Rows as TensorBoard scalars over steps, in groups.

    A run that goes on hides what came after its checkpoint.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=steps + 1)
        self._events: Any = self._writer.file_writer  # torch tells no type

    def write(self, row: Mapping[str, float]) -> None:
        """Add the row's finite figures, as one event: an event for each would take five times as long."""
        values = [
            Summary.Value(tag=_group(name), simple_value=value)
            for name, value in row.items()
            if name not in ("iteration", "steps") and math.isfinite(value)
        ]
        self._events.add_summary(Summary(value=values), int(row["steps"]))

    def sync(self) -> None:
        """Write what is waiting."""
        self._writer.flush()

    def close(self) -> None:
        """Finish the event file."""
        self._writer.close()


class ProgressLog:
    """A progress bar with steps per second, return and, where the environment tells it, profit."""

    def __init__(self, total_steps: int, steps: int) -> None:
        self._progress = Progress(
            TextColumn("[bold]training"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
        )
        self._task = self._progress.add_task("training", total=total_steps, completed=steps, figures="")
        self._progress.start()

    def write(self, row: Mapping[str, float]) -> None:
        """Move the bar."""
        figures = [f"{row['steps_per_second']:,.0f} steps/s"]
        if not math.isnan(row["episode_return"]):
            figures.append(f"return {row['episode_return']:.4g}")
        if "mean_profit" in row:
            figures.append(f"profit {row['mean_profit']:,.0f} $/h")
        self._progress.update(self._task, completed=row["steps"], figures=" | ".join(figures))

    def sync(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()


class RunLog:
    """Several logs as one; a context manager that closes them."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = tuple(logs)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for log in self._logs:
            log.close()

    def write(self, row: Mapping[str, float]) -> None:
        """Hand a row to every log."""
        for log in self._logs:
            log.write(row)

    def sync(self) -> None:
        """Bring all logs to the disk."""
        for log in self._logs:
            log.sync()


def _rows_until(path: Path, iteration: int) -> list[list[str]]:
    """Return the header and the whole rows up to an iteration, without any that a crash cut off."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    if not rows or "iteration" not in rows[0]:
        return []
    header, place = rows[0], rows[0].index("iteration")
    whole = [row for row in rows[1:] if len(row) == len(header) and row[place].isdigit()]
    kept = [row for row in whole if int(row[place]) <= iteration]
    return [header, *kept] if kept else []


def _cell(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _group(name: str) -> str:
    if name.startswith("episode") or name.startswith("mean_"):
        return f"market/{name}"
    return f"speed/{name}" if name in ("seconds", "steps_per_second") else f"learner/{name}"
