"""Who may use whom: the order of the rooms in Python and in Rust, read from the sources.

A new room has to be given its place here, and in ``docs/architecture.md``.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Python: what each room may import. Deeper names ("training.policy") allow that module alone.
PYTHON: dict[str, set[str]] = {
    "checks": set(),
    "files": set(),
    "config": {"_core"},
    "scenarios": {"checks", "config", "files"},
    "clearing": {"_core", "checks", "config"},
    "policies": {"_core", "checks", "files"},
    "engine": {"_core", "checks", "config", "policies"},
    "replay": {"_core", "checks"},
    "envs": {"_core", "checks", "config", "policies", "scenarios"},
    "adapters": {"config", "envs"},
    "training": {"_core", "checks", "config", "files", "policies", "scenarios", "envs"},
    "evaluation": {"checks", "config", "files", "scenarios", "engine", "envs", "policies"},
    "__init__": {"_core", "clearing", "config", "engine", "envs", "policies", "replay"},
}
# These stand on top of everything.
ANYTHING = {"cli", "report", "plots", "__main__"}
# `Scenario.default()` and its like build scenarios; they import them when they are called.
# A checkpoint is read by those who write it.
ON_CALL = {("config", "scenarios"), ("policies", "training")}

# Rust: each room may use those above it.
RUST = (
    ("error", "ahead", "moments"),
    ("pool", "spec"),
    ("simd", "slots", "action"),
    ("math", "publish", "nn"),
    ("rng",),
    ("scenario", "ppo"),
    ("policy",),
    ("seats", "numbers", "replay"),
    ("market",),
    ("shard",),
    ("series",),
    ("bidding", "clearing", "settle", "rewards", "observers"),
    ("rows",),
    ("rivals",),
    ("step",),
    ("outputs",),
    ("walk",),
    ("batch",),
    ("snapshot", "record"),
    ("rollout", "follow"),
    ("trainer",),
    ("py",),
)
# A feature's name stands beside its width and its writing, a term's beside its formula. The configuration
# names them, so these enums, and nothing else of their rooms, are used from above.
NAMED_ABOVE = {"observers": {"Feature"}, "rewards": {"Term"}}


# Python


def python_imports(package: Path) -> Iterator[tuple[Path, str, bool]]:
    """Yield (file, what it imports of the package, whether inside a function)."""
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                module = node.module or ""
                names = [f"{module}.{alias.name}" for alias in node.names]
            for name in names:
                yield path, name, id(node) in inside


def room_of(path: Path, package: Path) -> str:
    return path.relative_to(package).with_suffix("").parts[0]


def test_python_rooms_use_only_those_below(repository: Path) -> None:
    package = repository / "vecmarket"
    wrong = []
    for path, name, on_call in python_imports(package):
        if name.split(".")[0] != "vecmarket":
            continue
        room = room_of(path, package)
        used = name.removeprefix("vecmarket.")
        target = used.split(".")[0]
        if room in ANYTHING or target == room or (on_call and (room, target) in ON_CALL):
            continue
        if target.startswith("__") and room != "__init__":
            target = "__init__"
        allowed = PYTHON.get(room)
        assert allowed is not None, f"{room} has no place in the order of the rooms"
        if target not in allowed and not any(f"{used}.".startswith(f"{known}.") for known in allowed):
            wrong.append(f"{path.relative_to(package)} imports {name}")
    assert wrong == []


def test_every_python_room_has_a_place(repository: Path) -> None:
    package = repository / "vecmarket"
    rooms = {room_of(path, package) for path in package.rglob("*.py")}
    assert rooms <= set(PYTHON) | ANYTHING


@pytest.mark.parametrize(
    "room",
    ["envs", "scenarios", "config.py", "engine.py", "clearing.py", "replay.py", "checks.py", "files.py"],
)
def test_no_room_below_training_imports_torch(repository: Path, room: str) -> None:
    package = repository / "vecmarket"
    heavy = {"torch", "tensorboard", "matplotlib", "tyro", "rich", "safetensors"}
    for path, name, _ in python_imports(package):
        if path == package / room or package / room in path.parents:
            assert name.split(".")[0] not in heavy, f"{path} imports {name}"


def test_importing_the_package_imports_nothing_heavy(repository: Path) -> None:
    program = "import sys, vecmarket; print(*sorted(set(m.split('.')[0] for m in sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    heavy = {"torch", "tensorboard", "matplotlib", "tyro", "rich", "safetensors", "scipy", "numba"}
    assert heavy.isdisjoint(result.stdout.split())


# Rust


def code_of(path: Path) -> str:
    """Return a Rust file without its comments and strings."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', re.sub(r"//[^\n]*", "", text))


def rust_uses(source: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield (file, room it uses, the name that follows) for every ``crate::`` path."""
    for path in sorted(source.rglob("*.rs")):
        for room, name in re.findall(r"\bcrate::(\w+|\{)(?:::(\w+))?", code_of(path)):
            assert room != "{", f"{path}: one use per room, so that this test can read it"
            yield path, room, name


def rust_room(path: Path, source: Path) -> str:
    return path.relative_to(source).with_suffix("").parts[0]


def test_rust_rooms_use_only_those_above(repository: Path) -> None:
    source = repository / "src"
    level = {room: depth for depth, rooms in enumerate(RUST) for room in rooms}
    wrong = []
    for path, used, name in rust_uses(source):
        room = rust_room(path, source)
        if used == room:
            continue
        assert room in level, f"{room} has no place in the order of the rooms"
        assert used in level, f"{path} uses {used}, which has no place in the order of the rooms"
        if level[used] >= level[room] and name not in NAMED_ABOVE.get(used, set()):
            wrong.append(f"{path.relative_to(source)} uses crate::{used}::{name}")
    assert wrong == []


def test_every_rust_room_has_a_place(repository: Path) -> None:
    source = repository / "src"
    rooms = {rust_room(path, source) for path in source.rglob("*.rs")} - {"lib"}
    assert rooms == {room for rooms in RUST for room in rooms}


def test_only_the_binding_knows_python(repository: Path) -> None:
    source = repository / "src"
    for path in source.rglob("*.rs"):
        if rust_room(path, source) != "py":
            knows = re.findall(r"\b(pyo3|numpy|Python)\b", re.sub(r"mod py;", "", code_of(path)))
            assert knows == [], path


def test_unsafe_is_one_hint_with_its_reason(repository: Path) -> None:
    """One place asks the processor for memory ahead of time, which Rust has no safe way to say."""
    for path in (repository / "src").rglob("*.rs"):
        found = re.findall(r"\bunsafe\b[^}]*\}", code_of(path))
        if path.name == "ahead.rs":
            assert [re.sub(r"::<\w+>", "", block) for block in found] == ["unsafe { _mm_prefetch(line) }"]
            assert re.search(r"// SAFETY: [^\n]+\n\s+unsafe \{", path.read_text(encoding="utf-8"))
        else:
            assert found == [], path
