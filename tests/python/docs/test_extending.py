"""docs/extending.md does what it says: its changes, made in a copy, build and pass its check."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
CHANGE = re.compile(r"In `([^`]+)`, after\n\n```rust\n(.*?)```\n\nadd\n\n```rust\n(.*?)```", re.DOTALL)
CHECK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def run(command: list[str], cwd: Path, **environment: str) -> None:
    """Run a command and show what it printed when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    changes = CHANGE.findall(PAGE)
    assert {file for file, _, _ in changes} == {"src/observers.rs", "src/rewards.rs"}
    for name in ("src", "vecmarket", "tests/rust"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        )
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(ROOT / name, tmp_path / name)

    for file, anchor, addition in changes:
        text = (tmp_path / file).read_text(encoding="utf-8")
        assert text.count(anchor) == 1, f"{file}: the anchor must stand there once:\n{anchor}"
        (tmp_path / file).write_text(text.replace(anchor, anchor + addition), encoding="utf-8")

    # Dependencies are compiled once and kept with the project's other build products.
    target = ROOT / "target" / "extending"
    environment = {"CARGO_TARGET_DIR": str(target), "PYO3_PYTHON": sys.executable}
    if sys.platform == "darwin":
        # What maturin passes: the interpreter's symbols are found when the module is loaded.
        environment["RUSTFLAGS"] = "-C link-arg=-undefined -C link-arg=dynamic_lookup"
    run(["cargo", "build", "--features", "python", "--locked"], tmp_path, **environment)
    built = {"linux": "libvecmarket.so", "darwin": "libvecmarket.dylib", "win32": "vecmarket.dll"}[
        sys.platform
    ]
    suffix = ".pyd" if sys.platform == "win32" else ".abi3.so"
    shutil.copy(target / "debug" / built, tmp_path / "vecmarket" / f"_core{suffix}")

    (check,) = CHECK.findall(PAGE)
    run([sys.executable, "-c", check], tmp_path, PYTHONPATH=str(tmp_path))
