"""What an environment step costs over the size of the batch, beside the copy of its bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import vecmarket as vm
from bench.floor import COPIED, copy_of_outputs
from bench.measure import Case, Side, Timings, alternate, episodes
from bench.plan import Plan, draw_actions
from bench.report import CASE_DRAW, Table, nanoseconds, times

HOURS = 24
KIND = "sizes"
ENGINE, COPY = "engine", "copy"
SMALL = 1024  # environments, from which growth counts: what they read and write fits a core's own cache


def tables(plan: Plan) -> list[Table]:
    """Return the table of costs over N."""
    measured: dict[Case, Timings] = {}
    for generators, sizes in plan.sizes:
        measured |= _over(plan, generators, sizes)
    rows = [_row(case, timings) for case, timings in measured.items()]
    header = ["G", "N", "Engine.step, ns", "per agent, ns", "copy of its bytes, ns", "engine / copy"]
    note = (
        f"`Engine.step`, every agent acting and observing, one thread, {CASE_DRAW} price draw, whole days. "
        f"{COPIED} All sizes of a G take turns with one another, so that the rows can be compared: where the "
        "bytes no longer fit a cache, the copy shows what the memory alone adds."
    )
    return [Table("Cost per environment step over N", note, header, rows, kind=KIND, timings=measured)]


def _over(plan: Plan, generators: int, sizes: Sequence[int]) -> dict[Case, Timings]:
    scenario = vm.Scenario.default(generators, HOURS)
    sides = {}
    for size in sizes:
        engine = vm.Engine(scenario, size, threads=1)
        pool = draw_actions(CASE_DRAW, size, generators)
        sides[f"{ENGINE} {size}"] = Side(episodes(engine.reset, engine.step, pool, HOURS), HOURS * size)
        sides[f"{COPY} {size}"] = Side(copy_of_outputs(engine), size)
    timings = alternate(sides, plan.effort)
    small = min(sizes, key=lambda size: abs(size - SMALL))
    return {
        Case(CASE_DRAW, generators, size): timings.only(
            {side: f"{side} {size}" for side in (ENGINE, COPY)}
            | {_small(side): f"{side} {small}" for side in (ENGINE, COPY)}
        )
        for size in sizes
    }


def growth_beyond_copy(timings: Timings) -> float:
    """Return how much more the step's cost grew since SMALL than the copy's, over the step's cost there."""
    grown = {side: timings.nanoseconds[side] - timings.nanoseconds[_small(side)] for side in (ENGINE, COPY)}
    return float(np.median((grown[ENGINE] - grown[COPY]) / timings.nanoseconds[_small(ENGINE)]))


def _row(case: Case, timings: Timings) -> list[str]:
    engine, copy = timings.median(ENGINE), timings.median(COPY)
    costs = [nanoseconds(cost) for cost in (engine, engine / case.generators, copy)]
    return [str(case.generators), str(case.envs), *costs, times(timings.ratio(ENGINE, COPY))]


def _small(side: str) -> str:
    return f"{side} of {SMALL}"
