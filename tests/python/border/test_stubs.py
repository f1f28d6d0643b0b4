"""The hand-written types of the core agree with the compiled module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_stubs_match_the_module(repository: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "vecmarket._core", "--mypy-config-file", "pyproject.toml"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
