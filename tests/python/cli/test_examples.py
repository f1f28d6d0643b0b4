"""Every example runs, at a tiny size, and says something."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

SIZES: dict[str, dict[str, int]] = {
    "clear_market": {"markets": 10},
    "engine_quickstart": {"num_envs": 4},
    "gymnasium_loop": {"num_envs": 2, "steps": 30},
    "custom_scenario": {"num_envs": 2},
    "learn_together": {"iterations": 2, "num_envs": 8},
    "train_small": {"total_steps": 2 * 24 * 8, "num_envs": 8, "episodes": 2},
}


def test_every_example_is_here(repository: Path) -> None:
    assert {path.stem for path in (repository / "examples").glob("*.py")} == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_example(
    name: str,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    main: Callable[..., None] = runpy.run_path(str(repository / "examples" / f"{name}.py"))["main"]
    main(**SIZES[name])
    assert capsys.readouterr().out
