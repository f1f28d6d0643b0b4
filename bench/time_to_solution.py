"""Measure how long a best response takes to learn: ``python -m bench.time_to_solution [--own] [--quick]``.

Methods learn agent 4 and agent 3 of the scenario `default` against truthful rivals, and every policy on the
way is judged on the same days beside the exact best response. Then all agents learn, in rounds. A method that
is not installed is skipped with a line that says what would install it. A whole run writes ``SOLUTION.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

import vecmarket as vm
from bench import solution, targets, whole_job
from bench.judge import DAYS, Course, Judge, follow
from bench.methods import EASY, HARD, METHODS, Budget, Method, Task
from bench.plan import cores
from bench.report import Table, busy, load, preface, write_results
from bench.solution import Cell
from bench.solution_plot import plot_shares
from bench.solution_targets import NOTE, TARGETS
from bench.whole_job import LONG, SHORT, Job, Kind, Standing

HERE = Path(__file__).parent
SEEDS, QUICK_SEEDS = 5, 2
QUICKER = 10  # as many times shorter are the runs of --quick
PACKAGES = ("numpy", "gymnasium", "torch", "stable_baselines3")
METHOD = (
    "Every number comes from this one run of one process, in which the methods take turns, seed by seed. The "
    "clock (wall time) counts making environments and learner, playing and updates. It does not count "
    "imports, and it stands still while a policy is judged. A policy is judged after every update: its mean "
    f"action, without noise, on {DAYS} days of demand that are always the same and that no run learns on. "
    "The exact best response is found on the same days, hour by hour, knowing each hour's demand. A run has "
    "a fixed length, which is part of its method, since learning rates and spreads follow schedules over it. "
    "Each method has made one update before, so that what is imported late is not counted either. "
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.time_to_solution", description=__doc__)
    parser.add_argument("--own", action="store_true", help="our own backends alone")
    parser.add_argument("--quick", action="store_true", help="fewer seeds and shorter runs: shares are lower")
    parser.add_argument("--no-rounds", action="store_true", help="without the rounds of all agents")
    parser.add_argument("--agents", type=int, nargs="+", choices=(EASY, HARD), default=(EASY, HARD))
    parser.add_argument(
        "--seeds", type=int, help=f"runs of each method (default: {SEEDS}, {QUICK_SEEDS} quick)"
    )
    parser.add_argument(
        "--first-seed", type=int, default=0, help="seed of the first run of a single agent (default: 0)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of every method (default: 1)")
    parser.add_argument("--out", type=Path, help="page to write (default: SOLUTION.md, for a whole run only)")
    options = parser.parse_args(arguments)
    seeds = options.seeds if options.seeds is not None else QUICK_SEEDS if options.quick else SEEDS
    for name, value in (("--seeds", seeds), ("--threads", options.threads)):
        if value < 1:
            parser.error(f"{name}: must be at least 1, got {value}")
    first = options.first_seed
    if first < 0:
        parser.error(f"--first-seed: must be at least 0, got {first}")
    whole = not (options.own or options.quick or options.no_rounds) and set(options.agents) == {EASY, HARD}
    out: Path | None = options.out or (HERE / "SOLUTION.md" if whole else None)

    start = time.monotonic()
    found = load()
    command = " ".join(
        ["python -m bench.time_to_solution", *(sys.argv[1:] if arguments is None else arguments)]
    )
    methods = [method for method in METHODS if not (options.own and method.needs)]
    budgets = {
        Cell(agent, method.name): shorter(method.budgets[agent], QUICKER if options.quick else 1)
        for agent in options.agents
        for method in methods
    }
    with _torch_threads(options.threads):
        results, absent = measure(methods, budgets, range(first, first + seeds), options.threads)
        rounds = {} if options.no_rounds else measure_rounds(absent, seeds, options)
    tables = page(methods, results, budgets, absent, rounds)
    for table in tables:
        print(table.markdown(), flush=True)
    threads = (
        f"Each method has {options.threads} thread{'s' if options.threads > 1 else ''}, and where all agents "
        "learn, one per core.\n"
    )
    opening = busy(found, tables) + preface(command, found, METHOD + threads, PACKAGES)
    if out is not None:
        figure = out.with_suffix(".png")
        plot_shares(results, figure)
        write_results(
            out,
            opening,
            tables,
            figure,
            title="Time to solution",
            heading="Shares over seconds",
            alt="Share of the best-response gain over seconds of training, every run thin, medians thick",
        )
    print(f"{time.monotonic() - start:.0f} s" + (f", written to {out}" if out else ""))


def shorter(budget: Budget, times: int) -> Budget:
    """Return a budget of so many times fewer steps."""
    return budget._replace(total_steps=budget.total_steps // times)


def measure(
    methods: Sequence[Method], budgets: Mapping[Cell, Budget], seeds: Sequence[int], threads: int
) -> tuple[dict[Cell, list[Course]], dict[str, str]]:
    """Return the courses of all runs, one per seed, and why some methods have none."""
    scenario = vm.Scenario.default()
    absent: dict[str, str] = {}
    for method in methods:
        agent, budget = next(
            (cell.agent, budget) for cell, budget in budgets.items() if cell.method == method.name
        )
        reason = attempt(method, Task(scenario, agent, budget._replace(total_steps=1), 0, threads))
        if reason is not None:
            absent[method.name] = reason
            print(f"{method.name}: {reason}", flush=True)
    judges = {agent: Judge(scenario, agent) for agent in dict.fromkeys(cell.agent for cell in budgets)}
    trains = {method.name: method.train for method in methods if method.name not in absent}
    results: dict[Cell, list[Course]] = {cell: [] for cell in budgets if cell.method in trains}
    for seed in seeds:
        for cell, courses in results.items():
            task = Task(scenario, cell.agent, budgets[cell], seed, threads)
            course = follow(partial(trains[cell.method], task), judges[cell.agent])
            courses.append(course)
            end = course[-1]
            print(
                f"agent {cell.agent}, {cell.method}, seed {seed}: {end.shares.profit:.1%} after "
                f"{solution.seconds(end.seconds)} s",
                flush=True,
            )
    return results, absent


def measure_rounds(
    absent: Mapping[str, str], seeds: int, options: argparse.Namespace
) -> dict[Kind, list[list[Standing]]]:
    """Return the standings of the rounds of all agents, by the methods that can be had."""
    methods = [
        method
        for method in whole_job.METHODS
        if method.name not in absent and not (options.own and method.needs)
    ]
    for method in methods:
        attempt(method, Job(vm.Scenario.default(), whole_job.WARM_UP, 0, cores()))
    # A peer's run takes minutes, and its seconds hardly differ from run to run.
    plan = {method.name: {SHORT: 1} if method.needs else {SHORT: seeds, LONG: seeds} for method in methods}
    return whole_job.measure(methods, plan, cores())


def attempt(method: Method, task: Task | Job) -> str | None:
    """Let a method learn once, off the clock; return why it cannot, None where it can."""
    try:
        method.train(task, lambda policy: None)
    except ModuleNotFoundError as error:
        if not method.needs or error.name != method.needs:
            raise
        return f"skipped, not installed: {method.hint}"
    return None


def page(
    methods: Sequence[Method],
    results: Mapping[Cell, Sequence[Course]],
    budgets: Mapping[Cell, Budget],
    absent: Mapping[str, str],
    rounds: Mapping[Kind, Sequence[Sequence[Standing]]],
) -> list[Table]:
    """Return the tables of the page, the targets first."""
    tables: list[Table] = []
    for agent in dict.fromkeys(cell.agent for cell in results):
        of_agent = {cell.method: budget for cell, budget in budgets.items() if cell.agent == agent}
        tables += solution.tables(agent, results, of_agent)
    if rounds:
        tables.append(whole_job.table(rounds))
    aimed = targets.table(tables, TARGETS, NOTE)
    played = {kind.method for kind in rounds}
    of_rounds = [
        replace(method, name=f"{method.name}, all agents")
        for method in whole_job.METHODS
        if method.name in played
    ]
    every = [*methods, *of_rounds]
    return [*([aimed] if aimed else []), *tables, solution.survey(every, absent)]


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
