"""Tables of columns, written as CSV always and as Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from vecmarket.files import write_atomically

__all__ = ["NO_PARQUET", "Table", "Written", "write_tables"]

NO_PARQUET = "no Parquet: pyarrow is not installed (pip install 'vecmarket[parquet]')"


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, each of texts, whole numbers, numbers or truths; None and NaN are empty cells.

    Attributes
    ----------
    name
        Name of the file, without its ending.
    columns
        By name, in their order.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]

    @classmethod
    def of_rows(cls, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
        """Return a table from its rows."""
        cells = list(rows)
        return cls(name, {column: [row[k] for row in cells] for k, column in enumerate(header)})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


@dataclass(frozen=True)
class Written:
    """Files that were written, and what was not, with the reason."""

    files: tuple[Path, ...]
    note: str | None = None


def write_tables(
    tables: Sequence[Table], directory: str | PathLike[str], *, parquet: bool | None = None
) -> Written:
    """Write each table as ``<name>.csv`` and, where pyarrow is installed, as ``<name>.parquet``.

    Files are written beside and renamed, so that nobody sees half of one. CSV has six significant digits and
    empty cells for what is not defined; Parquet has every digit and nulls.

    Parameters
    ----------
    tables
        What is written.
    directory
        Where; made if missing.
    parquet
        None writes Parquet where pyarrow is installed, and says so in the result where it is not; False never
        does.

    Raises
    ------
    ImportError
        When `parquet` is True and pyarrow is not installed; nothing is written then.
    OSError
        When a file cannot be written.
    """
    able = parquet is not False and find_spec("pyarrow") is not None
    if parquet and not able:
        raise ImportError(NO_PARQUET)
    files = []
    for table in tables:
        path = Path(directory) / f"{table.name}.csv"
        write_atomically(path, _csv(table))
        files.append(path)
        if able:
            path = path.with_suffix(".parquet")
            write_atomically(path, _parquet(table))
            files.append(path)
    return Written(tuple(files), NO_PARQUET if parquet is None and not able else None)


def _csv(table: Table) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows(zip(*(map(_cell, column) for column in table.columns.values()), strict=True))
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _parquet(table: Table) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    # from_pandas: NaN becomes null.
    columns = {name: pa.array(list(column), from_pandas=True) for name, column in table.columns.items()}
    content = io.BytesIO()
    parquet.write_table(pa.table(columns), content)
    return content.getvalue()
