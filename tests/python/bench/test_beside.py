"""What is measured beside something else: threads, torch and memory."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import vecmarket as vm
from bench import beside_torch, memory
from bench.floor import bytes_written, copy_of_outputs
from bench.measure import Effort
from bench.plan import QUICK, thread_counts, threads_name

QUICKEST = Effort(rounds=2, seconds=0.0)


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1, 2]), (2, [1, 2]), (4, [1, 2, 4]), (12, [1, 2, 4, 8, 12]), (16, [1, 2, 4, 8, 16])],
)
def test_threads_double_up_to_the_cores(cores: int, counts: list[int]) -> None:
    assert thread_counts(cores) == counts


def test_threads_are_counted_in_words() -> None:
    assert [threads_name(1), threads_name(2)] == ["1 thread", "2 threads"]


def test_the_floor_copies_what_a_step_tells() -> None:
    engine = vm.Engine(vm.Scenario.default(5), 8, threads=1)
    # Observations, rewards and dispatch of an agent; price, demand and flags of an environment.
    assert bytes_written(engine) == 8 * (5 * (7 * 4 + 4 + 8) + 2 * 8 + 2)
    copy = copy_of_outputs(engine)
    copy()


def test_steps_and_work_take_turns_in_every_situation() -> None:
    main = threading.get_ident()
    calls: list[str] = []
    elsewhere: list[bool] = []

    def work() -> None:
        calls.append("work")
        elsewhere.append(threading.get_ident() != main)

    engines = {1: lambda: calls.append("step 1"), 2: lambda: calls.append("step 2")}
    timings = beside_torch.compete(engines, work, QUICKEST)

    assert {costs.shape for costs in timings.nanoseconds.values()} == {(2,)}
    assert len(timings.nanoseconds) == 1 + 3 * 2 * 2
    not_done = [name for name, costs in timings.nanoseconds.items() if np.isnan(costs).any()]
    assert not_done == ["idle, 1, work", "idle, 2, work"]
    assert any(elsewhere)
    assert not all(elsewhere)
    least = beside_torch.LEAST_STEPS
    # To warm up; then alone, the first turn to come together again, idle, and in turns.
    first = ["work", "step 1", "step 2", *["work"] * 2 * least, *["step 1"] * least, *["step 2"] * least]
    assert calls[: len(first)] == first
    assert calls[len(first) :][: 2 * least] == ["work", "step 1"] * least


def test_work_that_fails_beside_the_steps_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda failure: None)
    main = threading.get_ident()

    def work() -> None:
        if threading.get_ident() != main:
            raise OSError("no matrix")

    with pytest.raises(RuntimeError, match="the work beside the steps has failed"):
        beside_torch.compete({1: lambda: None}, work, QUICKEST)


def test_without_torch_the_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside_torch, "find_spec", lambda name: None)
    (table,) = beside_torch.tables(QUICK)
    assert table.markdown() == "## Beside torch\n\nSkipped: torch is not installed.\n"


def test_beside_torch_every_situation_has_a_row() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    (table,) = beside_torch.tables(QUICK._replace(effort=QUICKEST, torch_sizes=(8,)))
    assert torch.get_num_threads() == before
    assert [row[1] for row in table.rows] == list(beside_torch.SITUATIONS.values())
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_without_proc_memory_is_not_weighed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "STATM", tmp_path / "none")
    (table,) = memory.tables(QUICK)
    assert table.markdown().endswith("Skipped: the resident memory is read from Linux's /proc.\n")


def test_state_is_what_more_environments_add_to_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATM", Path(__file__))  # any file that is there

    def weigh(engines: int, envs: int, generators: int) -> float:
        return 5000.0 + envs * (60 + 24 * generators + (engines == 1) * 10)

    monkeypatch.setattr(memory, "_weigh", weigh)
    (table,) = memory.tables(QUICK)
    assert [row[:3] for row in table.rows] == [["5", "180", "190"], ["100", "2460", "2470"]]
    assert list(table.figures.values()) == [180.0, 2460.0]
    assert "the state takes 60 bytes an environment and 24.0 an agent of it" in table.note


@pytest.mark.skipif(not memory.STATM.exists(), reason="needs Linux's /proc")
def test_an_engine_has_weight() -> None:
    # Its size is the benchmark's to tell: the allocator of a process that ran tests before may give anything.
    assert memory._weigh(20, memory.FEW, 5) > 0
