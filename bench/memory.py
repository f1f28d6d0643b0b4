"""What an engine's environments take of memory beside the buffers that the user sees.

No interface tells it, so the process is weighed: ``python -m bench.memory ENGINES ENVS GENERATORS`` builds
that many engines of so many environments, steps them once, and prints the bytes by which its resident
memory grew for each of them, less the numpy buffers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import vecmarket as vm
from bench.measure import Case
from bench.plan import Plan
from bench.report import CASE_DRAW, Table

HOURS = 24
KIND = "memory"
ROOT = Path(__file__).parent.parent
STATM = Path("/proc/self/statm")
GENERATORS = (5, 100)
ENGINES, FEW, MANY = 500, 8, 64  # environments; an engine keeps 64 together, and never fewer than 8
LARGE = 16384
WARM_UP = 3  # engines built before: what the process and its allocator take once


def tables(plan: Plan) -> list[Table]:
    """Return the table of bytes."""
    title = "Memory per environment"
    if not STATM.exists():
        return [Table(title, "Skipped: the resident memory is read from Linux's /proc.", [], [], kind=KIND)]
    state, rows = {}, []
    for generators in GENERATORS:
        few, many = (_weigh(ENGINES, envs, generators) for envs in (FEW, MANY))
        one = state[generators] = (many - few) / (MANY - FEW)
        whole = _weigh(1, LARGE, generators) / LARGE
        rows.append([str(generators), f"{one:.0f}", f"{whole:.0f}", f"{_buffers(generators):.0f}"])
    by_agent = (state[GENERATORS[1]] - state[GENERATORS[0]]) / (GENERATORS[1] - GENERATORS[0])
    own = state[GENERATORS[0]] - GENERATORS[0] * by_agent
    header = ["G", "state, bytes", f"all beside the buffers, N = {LARGE}, bytes", "buffers, bytes"]
    note = (
        "Weighed from outside, each number in a process of its own: resident memory grown by building "
        "engines, resetting and stepping them once and writing all of their numpy buffers, less the buffers' "
        f"bytes. The state is the difference between {ENGINES} engines of {MANY} environments and as many of "
        f"{FEW}, for each environment that the larger ones have more: an engine steps {MANY} together, so "
        "both have the same working memory and it drops out. The next column has it and what the allocator "
        "adds. "
        f"Solved for both sizes, the state takes {own:.0f} bytes an environment and {by_agent:.1f} an agent "
        "of it."
    )
    figures = {Case(CASE_DRAW, generators, MANY): one for generators, one in state.items()}
    return [Table(title, note, header, rows, kind=KIND, figures=figures)]


def grown(engines: int, envs: int, generators: int) -> float:
    """Return the bytes by which this process grows for one of so many engines, less its buffers."""
    for _ in range(WARM_UP):
        _built(min(envs, MANY), generators)
    before = _resident()
    built = [_built(envs, generators) for _ in range(engines)]
    return (_resident() - before) / engines - _bytes(built[0])


def _built(envs: int, generators: int) -> vm.Engine:
    engine = vm.Engine(vm.Scenario.default(generators, HOURS), envs, threads=1)
    engine.reset()
    engine.step(np.ones((envs, generators, 2), np.float32))
    for view in engine.views().values():
        view[...] = 0  # memory counts as resident once it is written to
    return engine


def _bytes(engine: vm.Engine) -> int:
    return sum(view.nbytes for view in engine.views().values())


def _buffers(generators: int) -> float:
    return _bytes(vm.Engine(vm.Scenario.default(generators, HOURS), MANY, threads=1)) / MANY


def _resident() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _weigh(engines: int, envs: int, generators: int) -> float:
    # A fresh process: in this one the engines would move into memory that earlier tables have freed.
    command = [sys.executable, "-m", "bench.memory", *map(str, (engines, envs, generators))]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    print(grown(*map(int, sys.argv[1:])))
