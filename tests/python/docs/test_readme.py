"""The README's Python runs as it stands, and its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def lines_of(code: str, folder: Path = ROOT) -> list[str]:
    """Run a page's Python by itself, in a folder, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def python_of(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_python_of_the_readme_runs() -> None:
    environment, learning = python_of(README)
    assert lines_of(environment)[-1] == "30.0 [50. 50. 20.  0.]"
    gains, exploitability = lines_of(learning)
    parts = [float(x) for x in gains.strip("[]").split()]
    assert len(parts) == 5
    assert 0 < float(exploitability) == pytest.approx(sum(parts), rel=1e-6)


def test_the_python_of_the_replay_page_runs() -> None:
    (code,) = python_of((ROOT / "docs" / "replay.md").read_text(encoding="utf-8"))
    assert lines_of(code)[-1] == "12288 (512, 7) 5.7"


def test_the_python_of_the_evaluation_page_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    shares, *_, price, verdict = lines_of("\n".join(python_of(page)), tmp_path)
    profit_share, return_share = map(float, shares.split())
    assert 0.0 < return_share < 1.0
    assert 0.0 < profit_share <= 1.0
    assert all(float(number) > 0.0 for number in price.split())
    assert verdict == "short"
    written = {path.name for path in (tmp_path / "runs" / "judged").iterdir()}
    assert written >= {"market.csv", "agents.csv", "hours.csv", "rounds.png"}


def test_the_python_of_the_policies_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    page = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
    lines = lines_of("\n".join(python_of(page)), tmp_path)
    assert lines == ["ieee-rts-U350_1-seed0 (4096, 7) (4096, 2) float32", "(24, 1024, 5, 7)"]
    assert list(tmp_path.glob("*/ieee-rts-U350_1-seed0/policy.safetensors"))


def test_the_python_of_the_native_backend_runs() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (code,) = python_of(page.split("## The native backend")[1].split("\n## ")[0])
    (line,) = lines_of(code)
    assert line.endswith("(64, 24, 7)")
    assert "'log_probs'" in line


def test_links_of_the_readme_and_the_docs_lead_to_files() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
