"""Tables as Markdown, and the page that holds them beside the machine they were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import vecmarket
from bench.measure import Case, Timings
from vecmarket.files import write_atomically

# The case that several tables measure, which shows whether the machine was quiet between them.
CASE_GENERATORS, CASE_DRAW = 5, "normal"
MOST_LOAD = 0.5  # before the run
MOST_APART = 1.5  # dearest over cheapest cost of the same case

METHOD = (
    "Every number comes from this one run. The sides of a table take turns in one process (A B A B ...); "
    "a cost is the median over the turns, and a ratio is the median of the ratios pair by pair. Actions "
    "are random and differ between environments and steps, demand noise is on, and numba has compiled "
    "before the clock starts. All sides play the scenario `default` unless a table names another.\n"
)


class Table(NamedTuple):
    """One table of results."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    engine_step: float | None = None  # ns of `Engine.step` in the shared case on one thread, where measured
    kind: str = ""  # by which the targets find what the table was made from, below
    timings: Mapping[Case, Timings] = MappingProxyType({})
    figures: Mapping[Any, float] = MappingProxyType({})  # by what they are of; the table's note says what

    def markdown(self) -> str:
        """Return the table as Markdown; a table without rows is its title and its note."""
        if not self.rows:
            return f"## {self.title}\n\n{self.note}\n"
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.header, *self.rows)]
        lines.insert(1, "| " + " | ".join("---" for _ in self.header) + " |")
        return f"## {self.title}\n\n{self.note}\n\n" + "\n".join(lines) + "\n"


def write_results(
    path: Path,
    preface: str,
    tables: Iterable[Table],
    figure: Path | None,
    title: str = "Measured speed",
    *,
    heading: str = "Scaling",
    alt: str = "Environment steps per second over the number of environments",
) -> None:
    """Write the page of results; `heading` and `alt` are those of the figure."""
    parts = [f"# {title}\n", preface, *(table.markdown() for table in tables)]
    if figure is not None:
        name = os.path.relpath(figure, path.parent)
        parts.append(f"## {heading}\n\n![{alt}]({name})\n")
    write_atomically(path, "\n".join(parts).encode())


def microseconds(cost: float) -> str:
    """Return nanoseconds as microseconds with three digits."""
    return _digits(cost / 1e3)


def nanoseconds(cost: float) -> str:
    """Return nanoseconds with three digits."""
    return _digits(cost)


def times(ratio: float) -> str:
    """Return a ratio with three digits."""
    return _digits(ratio) + "x"


def rate(per_second: float) -> str:
    """Return a rate with three digits: 41.5 k, 3.2 M."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if per_second >= size:
            return _digits(per_second / size) + letter
    return _digits(per_second)


def _digits(number: float) -> str:
    if abs(number) >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def load() -> float | None:
    """Return the machine's load of the last minute, None where the system does not report it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def busy(load_before: float | None, tables: Iterable[Table]) -> str:
    """Return a paragraph on why the numbers are not those of a quiet machine, or nothing."""
    reasons = []
    if load_before is not None and load_before > MOST_LOAD:
        reasons.append(f"its load before the run was {load_before:.2f}, above {MOST_LOAD}")
    costs = {table.title: table.engine_step for table in tables if table.engine_step is not None}
    if costs and max(costs.values()) > MOST_APART * min(costs.values()):
        found = ", ".join(f"{nanoseconds(cost)} ns in {title!r}" for title, cost in costs.items())
        reasons.append(
            f"the same case ({CASE_GENERATORS} generators, {CASE_DRAW} draw, `Engine.step` on one thread) "
            f"cost {found}, more than {MOST_APART}x apart"
        )
    return f"The machine was busy: {'; '.join(reasons)}.\n\n" if reasons else ""


def preface(
    command: str,
    load_before: float | None,
    method: str = METHOD,
    packages: Sequence[str] = ("numpy", "numba", "gymnasium", "torch"),
) -> str:
    """Return the date, the machine with its present load, the versions and the method, as Markdown."""
    facts = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "command": f"`{command}`",
        "machine": f"{_cpu_name()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "load before the run": "not reported" if load_before is None else f"{load_before:.2f}",
        "versions": ", ".join(f"{name} {found}" for name, found in _versions(packages).items()),
    }
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items()) + f"\n\n{method}"


def _cpu_name() -> str:
    """Return the processor's name as the operating system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    return (
        (cpuinfo.exists() and _first_cpu(cpuinfo.read_text())) or platform.processor() or "unknown processor"
    )


def _first_cpu(cpuinfo: str) -> str:
    """Return the first processor of Linux's list, with the numbers that tell generations apart."""
    facts: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, fact = line.partition(":")
        facts.setdefault(name.strip(), fact.strip())
    numbers = [
        f"{name} {facts[key]}"
        for name, key in (("family", "cpu family"), ("model", "model"), ("stepping", "stepping"))
        if key in facts
    ]
    return " ".join([facts.get("model name", ""), f"({', '.join(numbers)})" if numbers else ""]).strip()


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python, of this package, of those packages that are installed, and of rustc."""
    versions = {"vecmarket": vecmarket.__version__, "Python": platform.python_version()}
    for package in packages:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    if rustc := shutil.which("rustc"):
        answer = subprocess.run(
            [rustc, "--version"], capture_output=True, text=True, check=False
        ).stdout.split()
        versions["rustc"] = answer[1] if len(answer) > 1 else "unknown"
    return versions
