"""Where the instructions of a step go, stage by stage: ``python -m bench.stages``.

The program of ``bench.instructions`` runs under callgrind, which says how often each instruction ran, and
``addr2line`` says for each which functions it was inlined from. Needs cargo, valgrind and binutils.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.instructions import Failure, build, unavailable

LEVEL = "avx2"  # the highest that valgrind translates
CASES = ("step G=5", "step G=20", "step G=100", "step G=1000", "one learner G=5")

# A function of src/ and the stage that it is, innermost first: an instruction belongs to the first of these
# that it was inlined into.
STAGES = {
    "tanh": "bids: tanh",
    "ask": "bids: memory ahead",
    "offer": "bids: the rest",
    "between": "clearing: bracket",
    "gather": "clearing: bracket",
    "crowd": "clearing: bracket",
    "thinned": "clearing: bracket",
    "try_all": "clearing: prices tried",
    "clear": "clearing: the rest",
    "settle": "settlement",
    "reward": "reward",
    "publish": "publishing",
    "clock": "clock",
    "philox": "demand: Philox",
    "quantile_but_far": "demand: normal quantile",
    "demand": "demand: the rest",
    "observe": "observation",
    "begin_episodes": "resets",
    "check": "checks",
}


def main() -> int:
    """Print the table."""
    if reason := unavailable(sys.platform):
        print(f"stages are not counted: {reason}")
        return 0
    try:
        program = build()
        columns = {case: by_stage(program, case) for case in CASES}
    except Failure as failure:
        print(f"stages: {failure}", file=sys.stderr)
        return 1
    print("\n".join(table(columns)))
    return 0


def table(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the instructions per environment step as a table: a row per stage, a column per case."""
    stages = [*dict.fromkeys(STAGES.values()), "other"]
    head = ["stage", *columns]
    rows = [[stage, *(f"{column.get(stage, 0.0):.0f}" for column in columns.values())] for stage in stages]
    sums = ["all", *(f"{sum(column.values()):.0f}" for column in columns.values())]
    lines = [head, ["---", *("---:" for _ in columns)], *rows, sums]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def by_stage(program: Path, case: str) -> dict[str, float]:
    """Return the instructions per environment step of one case, by stage."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        units = _run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={profile}",
                "--collect-atstart=no",
                "--toggle-collect=*counted*",
                "--dump-instr=yes",
                "--dump-line=no",
                str(program),
                case,
            ]
        )
        counts = executed(profile.read_text(encoding="utf-8").splitlines(), program.name)
    listing = _run(["addr2line", "-e", str(program), "-i", "-f", "-C", "-a", *map(hex, counts)])
    stages: Counter[str] = Counter()
    for address, functions in inlined(listing.splitlines()):
        stages[stage_of(functions)] += counts[address]
    return {stage: count / int(units) for stage, count in stages.items()}


def executed(profile: Iterable[str], program: str) -> dict[int, int]:
    """Return how often the instructions of a program ran, by address, from callgrind's profile."""
    counts: Counter[int] = Counter()
    objects: dict[str, str] = {}
    address, ours, inclusive = 0, False, False
    for line in profile:
        if named := re.match(r"ob=(\(\d+\))(?: (.*))?$", line):
            objects.setdefault(named[1], named[2] or "")
            ours = objects[named[1]].endswith(program)
        elif named := re.match(r"cob=(\(\d+\)) (.*)$", line):
            objects.setdefault(named[1], named[2])
        elif line.startswith("calls="):
            inclusive = True  # the next line is what the called function cost
        elif cost := re.match(r"(0x[0-9a-f]+|\+\d+|-\d+|\*) (\d+)$", line):
            place = cost[1]
            if place.startswith("0x"):
                address = int(place, 16)
            elif place != "*":
                address += int(place)
            if ours and not inclusive:
                counts[address] += int(cost[2])
            inclusive = False
    return dict(counts)


def inlined(listing: Iterable[str]) -> Iterable[tuple[int, list[str]]]:
    """Yield every address with its functions, innermost first, from what ``addr2line -a -i -f`` prints."""
    address: int | None = None
    functions: list[str] = []
    name = True  # names and places of functions take turns
    for line in listing:
        if re.fullmatch(r"0x[0-9a-f]{16}", line):
            if address is not None:
                yield address, functions
            address, functions, name = int(line, 16), [], True
        else:
            if name:
                functions.append(line)
            name = not name
    if address is not None:
        yield address, functions


def stage_of(functions: Iterable[str]) -> str:
    """Return the stage that an instruction belongs to, by the functions that it was inlined into."""
    for function in functions:
        stage = STAGES.get(re.sub(r"<.*", "", function).split("::")[-1])
        if stage is not None:
            return stage
    return "other"


def _run(command: list[str]) -> str:
    environment = {"VECMARKET_SIMD": LEVEL, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{command[0]} failed with status {done.returncode}\n{done.stderr[-500:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
