"""Several steps in one call beside as many calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

import vecmarket as vm
from bench.measure import Case, Side, Timings, alternate
from bench.plan import Plan, draw_actions
from bench.report import CASE_DRAW, CASE_GENERATORS, Table, nanoseconds, times

HOURS = 24
STEPS = (24, 8)  # k, which divide the day
KIND = "advance"
MODE = "same_step"  # of autoreset: every call steps every environment, whatever ended


def tables(plan: Plan) -> list[Table]:
    """Return the table of `Engine.advance`."""
    measured = {
        Case(CASE_DRAW, CASE_GENERATORS, size): alternate(_sides(size), plan.effort)
        for size in plan.advance_sizes
    }
    header = ["N", "Engine.step, ns"]
    for steps in STEPS:
        header += [f"advance, k = {steps}, ns", f"step / advance, k = {steps}"]
    note = (
        f"Cost of one environment step, G = {CASE_GENERATORS}, one thread, {CASE_DRAW} price draw, autoreset "
        f'"{MODE}": k steps in one call of `Engine.advance` beside k calls of `Engine.step`. The call keeps '
        "the outputs of all k steps, k times the memory of a step's, which it writes anew each time."
    )
    rows = [_row(case, timings) for case, timings in measured.items()]
    return [Table("advance: k steps in one call", note, header, rows, kind=KIND, timings=measured)]


def _sides(size: int) -> dict[str, Side]:
    scenario = vm.Scenario.default(CASE_GENERATORS, HOURS)
    day = np.stack(draw_actions(CASE_DRAW, size, CASE_GENERATORS, HOURS))
    engine = vm.Engine(scenario, size, threads=1)
    engine.reset()
    sides = {"step": Side(_steps(engine, list(day)), HOURS * size)}
    for steps in STEPS:
        engine = vm.Engine(scenario, size, threads=1)
        engine.reset()
        calls = [np.ascontiguousarray(part) for part in np.split(day, HOURS // steps)]
        sides[_name(steps)] = Side(_advances(engine, calls), HOURS * size)
    return sides


def _steps(engine: vm.Engine, day: Sequence[NDArray[np.float32]]) -> Callable[[], None]:
    def play() -> None:
        for actions in day:
            engine.step(actions, MODE)

    return play


def _advances(engine: vm.Engine, calls: Sequence[NDArray[np.float32]]) -> Callable[[], None]:
    def play() -> None:
        for actions in calls:
            engine.advance(actions, MODE)

    return play


def _row(case: Case, timings: Timings) -> list[str]:
    cells = [str(case.envs), nanoseconds(timings.median("step"))]
    for steps in STEPS:
        cells += [nanoseconds(timings.median(_name(steps))), times(timings.ratio("step", _name(steps)))]
    return cells


def _name(steps: int) -> str:
    return f"advance {steps}"
