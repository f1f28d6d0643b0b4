"""Measure replay buffers beside `vm.ReplayBuffer`: ``python -m bench.replay [--quick]``.

A library that is not installed is skipped with a line that says what would install it, and a buffer that
cannot be made is reported. A whole run writes ``REPLAY.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench.measure import Effort, Side, Timings, alternate
from bench.replay_stores import ACT, ALPHA, BETA, CAPACITY, KINDS, OBS, OURS, Kind, Store
from bench.report import Table, busy, load, nanoseconds, preface, times, write_results

HERE = Path(__file__).parent
PACKAGES = ("numpy", "torch", "stable_baselines3", "torchrl", "tensordict")
MIXED = 64  # samples that are given priorities before the clock starts
METHOD = (
    "Every number comes from this one run of one process, on one thread. The sides of a group take turns "
    "(A B A B ...); a cost is the median over the turns, and a ratio, in brackets, is the median of the "
    f"ratios pair by pair: how many times as long as `{OURS}`. All buffers keep {CAPACITY} rows of "
    f"{OBS} + {ACT} + 1 + {OBS} numbers and their flags, and are full before the clock starts. Random "
    "transitions are inserted from NumPy arrays (TorchRL: from tensors of the same memory); a sample ends as "
    "torch tensors of float32. Stable-Baselines3 is made with as many environments as a batch has rows, so "
    "that it inserts them in one call; it has neither priorities nor 16-bit storage, and collects its "
    "timeouts from a dictionary for each environment unless told not to. TorchRL is given observations that "
    "were converted to 16 bits in the call, and a sample of it is converted back. "
    f"`{OURS}` alone checks that all numbers are finite.\n"
)


class Plan(NamedTuple):
    """Sizes and effort of one run."""

    batches: tuple[int, ...]
    effort: Effort


FULL = Plan((256, 4096), Effort(rounds=15, seconds=0.03, patience=30.0))
QUICK = Plan((256,), Effort(rounds=3, seconds=0.005, patience=3.0))

# One group, of the kinds that can be compared, by whether they have priorities and 16 bits.
Group = tuple[bool, bool]
Measured = dict[tuple[str, Group, int], Timings]
CALLS = {
    "insert": ("Inserting", "New rows for the oldest, the sum tree included."),
    "sample": (
        "Sampling",
        f"With replacement; by priority with alpha = {ALPHA} and the weights of beta = {BETA}.",
    ),
    "update": (
        "New priorities",
        "One sample, and new priorities for all of its rows: what a learner adds to a step.",
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one size and fewer turns")
    parser.add_argument("--out", type=Path, help="page to write (default: REPLAY.md, for a whole run only)")
    options = parser.parse_args(arguments)
    out: Path | None = options.out or (None if options.quick else HERE / "REPLAY.md")

    start = time.monotonic()
    found = load()
    command = " ".join(["python -m bench.replay", *(sys.argv[1:] if arguments is None else arguments)])
    tables = survey(KINDS, QUICK if options.quick else FULL)
    for table in tables:
        print(table.markdown(), flush=True)
    opening = busy(found, tables) + preface(command, found, METHOD, PACKAGES)
    if out is not None:
        write_results(out, opening, tables, figure=None, title="Replay buffers")
    print(f"{time.monotonic() - start:.0f} s" + (f", written to {out}" if out else ""))


def survey(kinds: Sequence[Kind], plan: Plan) -> list[Table]:
    """Return one table for each call, and one of what was not measured."""
    with suppress(ModuleNotFoundError):
        import torch

        torch.set_num_threads(1)
    absent: dict[str, str] = {}
    measured: Measured = {}
    for group in dict.fromkeys((kind.prioritised, kind.half) for kind in kinds):
        members = [kind for kind in kinds if (kind.prioritised, kind.half) == group]
        for batch in plan.batches:
            measured |= _measure(members, group, batch, plan.effort, absent)
    tables = [_table(call, kinds, plan.batches, measured) for call in CALLS]
    if absent:
        tables.append(Table("Not measured", "", ["", "why"], [list(item) for item in absent.items()]))
    return tables


def _measure(
    kinds: Sequence[Kind], group: Group, batch: int, effort: Effort, absent: dict[str, str]
) -> Measured:
    stores: dict[str, Store] = {}
    for kind in kinds:
        store = attempt(kind, batch)
        if isinstance(store, str):
            absent[kind.name] = store
            print(f"{kind.name}: {store}", flush=True)
        else:
            stores[kind.name] = store
    measured: Measured = {}
    for call in CALLS:
        sides = {
            kind.name: Side(run, batch)
            for kind in kinds
            if kind.name in stores and call in kind.calls and (run := getattr(stores[kind.name], call))
        }
        if sides:
            measured[call, group, batch] = alternate(sides, effort)
    return measured


def attempt(kind: Kind, batch: int) -> Store | str:
    """Return a full buffer, or why there is none: nothing here stops the run."""
    try:
        store = kind.make(batch)
        for _ in range(CAPACITY // batch):
            store.insert()
        store.sample()
        if store.update is not None:
            for _ in range(MIXED):
                store.update()
    except ModuleNotFoundError as error:
        if error.name == kind.needs:
            return f"skipped, not installed: {kind.hint}"
        return f"failed to import: {error} (installed by: {kind.hint})"
    except Exception as error:
        return f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return store


def _table(call: str, kinds: Sequence[Kind], batches: Sequence[int], measured: Measured) -> Table:
    title, note = CALLS[call]
    rows = []
    for kind in kinds:
        cells = []
        for batch in batches:
            timings = measured.get((call, (kind.prioritised, kind.half), batch))
            if timings is not None and kind.name in timings.nanoseconds:
                cost = nanoseconds(timings.median(kind.name))
                beside = OURS in timings.nanoseconds and kind.name != OURS
                cells.append(f"{cost} ({times(timings.ratio(kind.name, OURS))})" if beside else cost)
        if cells:
            sampling = "by priority" if kind.prioritised else "uniform"
            rows.append([kind.name, f"{sampling}, {'float16' if kind.half else 'float32'}", *cells])
    header = ["", "", *(f"batches of {batch}" for batch in batches)]
    return Table(title, f"Nanoseconds per row. {note}", header, rows)


if __name__ == "__main__":
    main()
