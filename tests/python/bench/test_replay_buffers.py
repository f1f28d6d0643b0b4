"""The comparison of replay buffers: what is skipped, what fails, and what the page says."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from bench import replay, replay_stores
from bench.measure import Effort
from bench.replay import Plan, attempt
from bench.replay_stores import KINDS, OURS, Kind, Store, ours


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (replay, replay_stores):
        monkeypatch.setattr(module, "CAPACITY", 64)
    monkeypatch.setattr(replay, "QUICK", Plan((4, 16), Effort(rounds=2, seconds=0.0, patience=0.0)))


def _absent(rows: int) -> Store:
    import_module("not_there")
    raise AssertionError("the module is not there")


def _broken(rows: int) -> Store:
    raise OSError("no such library\nand a second line")


def test_what_cannot_be_had_is_told() -> None:
    assert attempt(Kind("peer", _absent, False, needs="not_there", install="not-there"), 4) == (
        "skipped, not installed: pip install not-there"
    )
    assert attempt(Kind("peer", _absent, False), 4) == (
        "failed to import: No module named 'not_there' (installed by: pip install torch)"
    )
    assert attempt(Kind("peer", _broken, False), 4) == "failed: OSError: no such library"


@pytest.mark.parametrize("prioritised", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_a_store_is_full_before_it_is_measured(prioritised: bool, half: bool) -> None:
    inserted = []

    def make(rows: int) -> Store:
        store = ours(rows, prioritised=prioritised, half=half)
        return store._replace(insert=lambda: inserted.append(store.insert()))

    store = attempt(Kind("ours", make, prioritised, half), 16)
    assert isinstance(store, Store), store
    assert len(inserted) == 64 // 16
    assert (store.update is not None) == prioritised
    observations, *_ = store.sample()  # type: ignore[misc]
    assert observations.shape == (16, replay_stores.OBS)
    given = replay_stores.draw_rows(16).observations
    expected = given.astype(np.float16).astype(np.float32) if half else given
    assert {row.tobytes() for row in observations.numpy()} <= {row.tobytes() for row in expected}


def test_a_page_is_written_where_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = [kind for kind in KINDS if kind.name.startswith(OURS)]
    peer = Kind("peer", lambda rows: ours(rows, prioritised=True, half=False), True)
    missing = Kind("missing", _absent, False, needs="not_there")
    monkeypatch.setattr(replay, "KINDS", [*mine, peer, missing])
    replay.main(["--quick", "--out", str(tmp_path / "REPLAY.md")])
    text = (tmp_path / "REPLAY.md").read_text(encoding="utf-8")
    assert text.startswith("# Replay buffers\n")
    assert f"- command: `python -m bench.replay --quick --out {tmp_path / 'REPLAY.md'}`" in text
    inserting, sampling, priorities, absent = text.split("\n## ")[1:]
    assert [inserting.count(f"| {OURS}"), sampling.count(f"| {OURS}"), priorities.count(f"| {OURS}")] == [
        4,
        5,
        2,
    ]
    assert "out=" in sampling
    assert "out=" not in inserting
    assert [part.count("| peer | by priority, float32 |") for part in (inserting, sampling, priorities)] == [
        1
    ] * 3
    assert priorities.count("x)") == 2  # the peer beside ours, for two sizes
    assert "| missing | skipped, not installed: pip install not_there |" in absent
