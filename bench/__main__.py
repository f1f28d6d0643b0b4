"""Run the benchmarks: ``python -m bench [--quick] [clearing] [step] [throughput] ...``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import (
    advance,
    beside_torch,
    clearing,
    fleets,
    inference,
    memory,
    native,
    observers,
    sizes,
    step,
    targets,
    threads,
    throughput,
    training,
)
from bench.plan import FULL, QUICK, Plan
from bench.report import Table, busy, load, preface, write_results

HERE = Path(__file__).parent
TABLES: dict[str, Callable[[Plan], list[Table]]] = {
    "clearing": clearing.tables,
    "step": step.tables,
    "sizes": sizes.tables,
    "threads": threads.tables,
    "advance": advance.tables,
    "fleets": fleets.tables,
    "observers": observers.tables,
    "throughput": throughput.tables,
    "memory": memory.tables,
    "inference": inference.tables,
    "torch": beside_torch.tables,  # these last, for torch's threads stay
    "training": training.tables,
    "native": native.tables,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("tables", nargs="*", help=f"what to measure: {', '.join(TABLES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and turns, under a minute")
    parser.add_argument("--out", type=Path, help="page to write (default: RESULTS.md, for a whole run only)")
    options = parser.parse_args()
    if unknown := sorted(set(options.tables) - set(TABLES)):
        parser.error(f"unknown table {unknown[0]!r}; the tables are {', '.join(TABLES)}")

    whole = not options.tables and not options.quick
    out: Path | None = options.out or (HERE / "RESULTS.md" if whole else None)
    names = options.tables or list(TABLES)
    figure = out.parent / "scaling.png" if out is not None and "throughput" in names else None
    plan = (QUICK if options.quick else FULL)._replace(figure=figure)

    start = time.monotonic()
    # Taken before the run, which is a load of its own.
    found = load()
    opening = preface(" ".join(["python -m bench", *sys.argv[1:]]), found)
    tables: list[Table] = []
    for name in names:
        began = time.monotonic()
        for table in TABLES[name](plan):
            print(table.markdown(), flush=True)
            tables.append(table)
        print(f"({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
    if aimed := targets.table(tables):
        print(aimed.markdown())
        tables.insert(0, aimed)
    warning = busy(found, tables)
    print(warning, end="")
    if out is not None:
        write_results(out, warning + opening, tables, figure)
    print(f"{time.monotonic() - start:.0f} s" + (f", written to {out}" if out else ""))


if __name__ == "__main__":
    main()
