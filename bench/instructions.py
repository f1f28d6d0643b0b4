"""Instructions per environment step, counted by valgrind: ``python -m bench.instructions [--record]``.

Times on a shared machine scatter by tens of percents; counts repeat. They say nothing of caches or of
mispredicted branches and replace no benchmark: they guard against a change that makes the kernels do more
work unnoticed. ``instructions.json`` holds the counts to compare with.

Needs nothing but the standard library, cargo and valgrind.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
RECORD = HERE / "instructions.json"
RENEW = "make instructions ARGS=--record"

# valgrind translates AVX2 but not AVX-512.
LEVELS = {"x86_64": ("avx2", "baseline")}
EVERYWHERE = ("baseline",)

# The same compiler makes the same code of the same source: what is left is another libc, and changes too
# small to be worth a discussion.
MARGIN = 0.05
# Another compiler inlines and vectorises otherwise, which moves counts by several percents with nobody to
# blame: more than this is worth a look, but never a failure.
OTHER_COMPILER = 0.15


class Failure(Exception):
    """What keeps the counts from being taken; the message is for the user."""


@dataclass(frozen=True)
class Counts:
    """Instructions per unit of work, by level of vector instructions and case, and what counted them."""

    machine: str
    rustc: str
    valgrind: str
    instructions: Mapping[str, Mapping[str, float]]

    def flat(self) -> dict[tuple[str, str], float]:
        """Return the counts by level and case."""
        return {
            (level, case): count
            for level, cases in self.instructions.items()
            for case, count in cases.items()
        }

    @classmethod
    def load(cls, path: Path) -> Counts:
        """Read a record."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Write the record."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


class Row(NamedTuple):
    """One case beside its record."""

    level: str
    case: str
    recorded: float | None
    found: float | None
    verdict: str  # "", "grew", "cheaper", "not recorded" or "gone"

    def text(self) -> str:
        """Return the row as the table prints it."""
        numbers = ["-" if count is None else f"{count:.1f}" for count in (self.recorded, self.found)]
        change = f"{self.found / self.recorded - 1:+.1%}" if self.found and self.recorded else "-"
        cells = f"{self.level:<10}{self.case:<18}{numbers[0]:>12}{numbers[1]:>12}{change:>9}"
        return f"{cells}  {self.verdict}".rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, and compare or record. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--record", action="store_true", help=f"write the counts to {RECORD.name}")
    options = parser.parse_args(arguments)
    if reason := unavailable(sys.platform):
        print(f"instructions are not counted: {reason}")
        return 0
    try:
        found = count_all()
    except Failure as failure:
        print(f"instructions: {failure}", file=sys.stderr)
        return 1
    if options.record:
        found.save(RECORD)
        print("\n".join(table(compare(found, found, MARGIN))))
        print(f"\nwritten to {RECORD.name}")
        return 0
    if not RECORD.exists():
        print(f"instructions: nothing is recorded yet; {RENEW}", file=sys.stderr)
        return 1
    lines, status = judge(found, Counts.load(RECORD))
    print("\n".join(lines))
    return status


def unavailable(system: str) -> str | None:
    """Return why valgrind cannot be had on this system, None where it can."""
    return None if system == "linux" else f"valgrind does not run on {system}"


def judge(found: Counts, recorded: Counts) -> tuple[list[str], int]:
    """Return what to print on counts beside their record, and the exit status."""
    if found.machine != recorded.machine:
        note = f"the record is of {recorded.machine}, this is {found.machine}: nothing is compared"
        return [*table(compare(found, found, MARGIN)), "", note], 0

    same_compiler = found.rustc == recorded.rustc
    rows = compare(found, recorded, MARGIN if same_compiler else OTHER_COMPILER)
    lines = [*table(rows), ""]
    if not same_compiler:
        lines.append(f"the record is by rustc {recorded.rustc}, this is {found.rustc}: a growth only warns")
    if found.valgrind != recorded.valgrind:
        lines.append(f"the record is by {recorded.valgrind}, this is {found.valgrind}")

    verdicts = {row.verdict for row in rows}
    broken = verdicts & {"grew", "not recorded", "gone"}
    if "grew" in verdicts:
        margin = MARGIN if same_compiler else OTHER_COMPILER
        lines.append(f"grew by more than {margin:.0%}; if it is worth it, say so in the change: {RENEW}")
    if verdicts & {"not recorded", "gone"}:
        lines.append(f"the record has other cases than were counted: {RENEW}")
    if "cheaper" in verdicts:
        lines.append(f"some cases became much cheaper; renew the record so that it guards them: {RENEW}")
    if not verdicts - {""}:
        lines.append("no more instructions than recorded, within the margin")
    return lines, int(bool(broken) and same_compiler)


def compare(found: Counts, recorded: Counts, margin: float) -> list[Row]:
    """Return every case that was counted or is recorded, with its verdict."""
    now, before = found.flat(), recorded.flat()
    rows = []
    for level, case in dict.fromkeys([*now, *before]):
        new, old = now.get((level, case)), before.get((level, case))
        rows.append(Row(level, case, old, new, _verdict(old, new, margin)))
    return rows


def _verdict(recorded: float | None, found: float | None, margin: float) -> str:
    if recorded is None:
        return "not recorded"
    if found is None:
        return "gone"
    if found > recorded * (1 + margin):
        return "grew"
    return "cheaper" if found < recorded * (1 - margin) else ""


def table(rows: Sequence[Row]) -> list[str]:
    """Return the rows under their header."""
    title = "Instructions per environment step (per market where it is cleared alone)"
    header = f"{'level':<10}{'case':<18}{'recorded':>12}{'found':>12}{'change':>9}"
    return [title, "", header, *(row.text() for row in rows)]


def count_all() -> Counts:
    """Build the program and count every case at every level."""
    for tool, install in {"valgrind": "apt-get install valgrind", "cargo": "https://rustup.rs"}.items():
        if shutil.which(tool) is None:
            raise Failure(f"{tool} is not found: {install}")
    program = build()
    cases = _output([str(program)]).splitlines()
    machine = platform.machine()
    return Counts(
        machine=machine,
        rustc=_output(["rustc", "--version"]).removeprefix("rustc ").strip(),
        valgrind=_output(["valgrind", "--version"]).strip(),
        instructions={
            level: {case: count(program, case, level) for case in cases}
            for level in LEVELS.get(machine, EVERYWHERE)
        },
    )


def build() -> Path:
    """Compile the program that does the work, optimised as the released engine is; return its path."""
    command = ["cargo", "bench", "--bench", "instructions", "--no-run", "--message-format=json"]
    return executable(_output(command, cwd=HERE.parent))


def executable(messages: str) -> Path:
    """Return the program that cargo's messages, one JSON object per line, say was built."""
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == "instructions":
            return Path(message["executable"])
    raise Failure("cargo built no program named 'instructions'")


def count(program: Path, case: str, level: str) -> float:
    """Return the instructions per unit of one case: those of its work alone, without the set-up."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={profile}",
            "--collect-atstart=no",
            "--toggle-collect=*counted*",  # the function of instructions.rs, whatever its mangled name
            str(program),
            case,
        ]
        units = int(_output(command, environment={"VECMARKET_SIMD": level}))
        return round(collected(profile.read_text(encoding="utf-8")) / units, 1)


def collected(profile: str) -> int:
    """Return the instructions that a profile of callgrind sums up."""
    found = re.search(r"^totals: (\d+)$", profile, re.MULTILINE)
    if found is None or int(found[1]) == 0:
        raise Failure(
            "callgrind counted nothing: is `counted` of instructions.rs still a function of its own?"
        )
    return int(found[1])


def _output(command: list[str], cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints; cargo's progress goes on to the terminal."""
    quiet = command[0] != "cargo"
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join((done.stderr or "").splitlines()[-5:])
        raise Failure(f"`{' '.join(command)}` failed with status {done.returncode}\n{tail}".rstrip())
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
