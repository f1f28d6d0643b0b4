"""What more threads gain, over the size of the batch."""

from __future__ import annotations

import vecmarket as vm
from bench.measure import Case, Side, Timings, alternate, episodes
from bench.plan import Plan, cores, draw_actions, thread_counts, threads_name
from bench.report import CASE_DRAW, Table, nanoseconds, times

HOURS = 24
KIND = "threads"


def tables(plan: Plan) -> list[Table]:
    """Return the table of threads."""
    counts = thread_counts(cores())
    measured: dict[Case, Timings] = {}
    for generators, sizes in plan.sizes:
        for size in sizes:
            case = Case(CASE_DRAW, generators, size)
            measured[case] = alternate(_sides(case, counts), plan.effort)
    rows = [_row(case, timings, counts) for case, timings in measured.items()]
    header = ["G", "N", "1 thread, ns", *(threads_name(count) for count in counts[1:])]
    note = (
        f"`Engine.step`, every agent acting and observing, {CASE_DRAW} price draw, whole days: the cost of "
        "an environment step on one thread, and how many times as fast more threads are, pair by pair, with "
        "the efficiency, which is that gain for each thread. "
        f"This machine has {cores()} cores; the columns go up to them, and to 2 at least."
    )
    return [Table("Threads", note, header, rows, kind=KIND, timings=measured)]


def _sides(case: Case, counts: list[int]) -> dict[str, Side]:
    scenario = vm.Scenario.default(case.generators, HOURS)
    pool = draw_actions(case.draw, case.envs, case.generators)
    sides = {}
    for count in counts:
        engine = vm.Engine(scenario, case.envs, threads=count)
        play = episodes(engine.reset, engine.step, pool, HOURS)
        sides[threads_name(count)] = Side(play, HOURS * case.envs)
    return sides


def _row(case: Case, timings: Timings, counts: list[int]) -> list[str]:
    one = threads_name(1)
    gains = [(count, timings.ratio(one, threads_name(count))) for count in counts[1:]]
    cells = [f"{times(gain)}, {gain / count:.0%}" for count, gain in gains]
    return [str(case.generators), str(case.envs), nanoseconds(timings.median(one)), *cells]
