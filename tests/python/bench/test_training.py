"""The tables of training: what is timed, and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest

from bench import training
from bench.measure import Effort, Timings
from bench.plan import QUICK

PLAN = QUICK._replace(effort=Effort(rounds=1, seconds=0.0), training_sizes=(8,), batched_sizes=((2, 4),))


def test_without_torch_the_tables_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    assert [table.markdown() for table in training.tables(PLAN)] == [
        "## Training with PPO\n\nSkipped: torch is not installed.\n",
        "## Several agents at once\n\nSkipped: torch is not installed.\n",
    ]


def test_learners_are_timed_on_the_threads_that_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from vecmarket.training import PPO, BatchedPPO

    monkeypatch.setattr(training, "THREADS", (1,))
    used: list[tuple[type, int, int, int]] = []

    def noted(kind: type, iterate):
        def note(learner):
            agents = len(learner.seeds) if kind is BatchedPPO else 1
            used.append((kind, agents, learner.num_envs, torch.get_num_threads()))
            return iterate(learner)

        return note

    for kind in (PPO, BatchedPPO):
        monkeypatch.setattr(kind, "iterate", noted(kind, kind.iterate))
    before = torch.get_num_threads()
    one, several = training.tables(PLAN)
    assert torch.get_num_threads() == before
    assert set(used) == {(PPO, 1, 8, 1), (PPO, 1, 4, 1), (BatchedPPO, 2, 4, 1)}
    assert [row[:2] for row in one.rows] == [["8", "1 thread"]]
    assert [row[:3] for row in several.rows] == [["2", "4", "1 thread"]]
    for table in (one, several):
        assert {len(row) for row in table.rows} == {len(table.header)}
    shares = [int(cell.rstrip("%")) for cell in one.rows[0][3:]]
    assert 98 <= sum(shares) <= 102


def test_rates_are_the_medians_of_all_agents() -> None:
    costs = {"one at a time, 1": 20e3, "together, 1": 10e3, "together in one market, 1": 8e3}
    timings = Timings({name: np.full(3, cost) for name, cost in costs.items()})
    row = training._several_row(5, 64, 1, timings)
    assert row == ["5", "64", "1 thread", "50.0 k", "100 k", "2.00x", "125 k"]
    assert training.steps_per_second(2)(Timings({"2 threads": np.array([4e3, 5e3, 9e3])})) == 200e3
