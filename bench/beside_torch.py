"""What the engine's threads and torch's cost each other in one process, as in a trainer."""

from __future__ import annotations

import gc
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import cycle
from typing import NamedTuple

import numpy as np

import vecmarket as vm
from bench.measure import Case, Effort, Timings
from bench.plan import Plan, cores, draw_actions, threads_name
from bench.report import CASE_DRAW, CASE_GENERATORS, Table, microseconds, times

HOURS = 24
KIND = "torch"
TITLE = "Beside torch"
THREADS = (1, 2)
MATRIX = 512  # rows and columns: about a millisecond on two cores, as long as a step of thousands
LEAST_STEPS, LEAST_WORK = 10, 3  # in a turn

Call = Callable[[], object]
IDLE, TURNS, BACKGROUND = "idle", "in turns", "in another thread"
SITUATIONS = {
    IDLE: "torch idle",
    TURNS: "a matmul before each step",
    BACKGROUND: "matmuls all the time in another thread",
}


class Turn(NamedTuple):
    """Nanoseconds of one step and of one piece of torch's work; NaN for what was not done."""

    step: float
    work: float


def tables(plan: Plan) -> list[Table]:
    """Return the table of both at work, without rows where torch is not installed."""
    if find_spec("torch") is None:
        return [Table(TITLE, "Skipped: torch is not installed.", [], [], kind=KIND)]
    measured: dict[Case, Timings] = {}
    with _matmul(cores()) as work:
        for size in plan.torch_sizes:
            engines = {count: _stepper(size, count) for count in THREADS}
            measured[Case(CASE_DRAW, CASE_GENERATORS, size)] = compete(engines, work, plan.effort)
    rows = [_row(case, timings, key) for case, timings in measured.items() for key in SITUATIONS]
    header = ["N", "situation", *(f"step, {threads_name(count)}, µs" for count in THREADS), "1 thread / 2"]
    header += ["matmul alone, µs", *(f"matmul beside {threads_name(count)}, µs" for count in THREADS)]
    note = (
        f"`Engine.step`, G = {CASE_GENERATORS}, {CASE_DRAW} price draw: the time of one call, and of one "
        f"torch matmul ({MATRIX} x {MATRIX}, float32, torch.set_num_threads({cores()})) done beside it. With "
        "a matmul before each step both are done by one Python thread, as a trainer does, and each is timed "
        "by itself: threads that go on spinning after their work would slow down the other's. In the last "
        "situation the two ask for more cores than there may be; there, neither must come to a halt."
    )
    return [Table(TITLE, note, header, rows, kind=KIND, timings=measured)]


def compete(engines: dict[int, Call], work: Call, effort: Effort) -> Timings:
    """Time steps (by number of threads) and work in every situation, all of them taking turns."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    turns: dict[str, Callable[[Call], Turn]] = {
        IDLE: lambda step: _alternating(step, None, effort.seconds),
        TURNS: lambda step: _alternating(step, work, effort.seconds),
        BACKGROUND: lambda step: _beside(step, work, effort.seconds),
    }
    for call in (work, *engines.values()):
        call()
    gc.collect()
    gc.disable()
    try:
        for _ in range(effort.rounds):
            # After a turn in which another thread did the work, its pool has to come together again.
            _alternating(None, work, effort.seconds)
            found["alone"].append(_alternating(None, work, effort.seconds).work)
            for situation, take in turns.items():
                for count, step in engines.items():
                    turn = take(step)
                    found[_step_name(situation, count)].append(turn.step)
                    found[_work_name(situation, count)].append(turn.work)
    finally:
        gc.enable()
    return Timings({name: np.array(costs) for name, costs in found.items()})


def _alternating(step: Call | None, work: Call | None, seconds: float) -> Turn:
    """Do work and step, one after the other, each timed by itself."""
    spent = {"step": 0, "work": 0}
    rounds = 0
    end = time.perf_counter_ns() + seconds * 1e9
    while rounds < LEAST_STEPS or time.perf_counter_ns() < end:
        for name, call in (("work", work), ("step", step)):
            if call is not None:
                start = time.perf_counter_ns()
                call()
                spent[name] += time.perf_counter_ns() - start
        rounds += 1
    return Turn(*(spent[name] / rounds or float("nan") for name in Turn._fields))


def _beside(step: Call, work: Call, seconds: float) -> Turn:
    """Step while another thread does the work without a pause."""
    stop = threading.Event()
    done: list[int] = []  # nanoseconds of each piece of work

    def work_on() -> None:
        while not stop.is_set():
            start = time.perf_counter_ns()
            work()
            done.append(time.perf_counter_ns() - start)

    worker = threading.Thread(target=work_on, daemon=True)
    worker.start()
    try:
        steps = 0
        start = time.perf_counter_ns()
        end = start + seconds * 1e9
        while steps < LEAST_STEPS or len(done) < LEAST_WORK or time.perf_counter_ns() < end:
            step()
            steps += 1
            if not worker.is_alive():
                raise RuntimeError("the work beside the steps has failed")
        elapsed = time.perf_counter_ns() - start
    finally:
        stop.set()
        worker.join()
    return Turn(elapsed / steps, sum(done) / len(done))


@contextmanager
def _matmul(threads: int) -> Iterator[Call]:
    """Give a call that multiplies two matrices on so many of torch's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        left, right = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
        out = torch.empty(MATRIX, MATRIX)
        yield lambda: torch.mm(left, right, out=out)
    finally:
        torch.set_num_threads(before)


def _stepper(size: int, threads: int) -> Call:
    engine = vm.Engine(vm.Scenario.default(CASE_GENERATORS, HOURS), size, threads=threads)
    engine.reset()
    actions = cycle(draw_actions(CASE_DRAW, size, CASE_GENERATORS))
    return lambda: engine.step(next(actions), "same_step")


def _row(case: Case, timings: Timings, situation: str) -> list[str]:
    steps = [_step_name(situation, count) for count in THREADS]
    cells = [str(case.envs), SITUATIONS[situation], *(microseconds(timings.median(name)) for name in steps)]
    cells.append(times(timings.ratio(*steps)))
    if situation == IDLE:
        return [*cells, *["—"] * (1 + len(THREADS))]
    names = ("alone", *(_work_name(situation, count) for count in THREADS))
    return [*cells, *(microseconds(timings.median(name)) for name in names)]


def _step_name(situation: str, threads: int) -> str:
    return f"{situation}, {threads}, step"


def _work_name(situation: str, threads: int) -> str:
    return f"{situation}, {threads}, work"
