"""The measuring itself: turns, ratios, random inputs and the page of results."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import vecmarket as vm
from bench import targets, training
from bench.__main__ import TABLES
from bench.measure import Effort, Side, Timings, alternate, episodes
from bench.plan import QUICK, draw_actions
from bench.report import Table, _first_cpu, busy, preface, rate, write_results


def test_sides_take_turns() -> None:
    turns: list[str] = []
    sides = {name: Side(partial(turns.append, name), 1) for name in "ABC"}
    timings = alternate(sides, Effort(rounds=3, seconds=0.0))
    # Two calls each to warm up and to see how long one takes, then one call a turn.
    assert turns == list("AABBCC" + "ABC" * 3)
    assert [costs.shape for costs in timings.nanoseconds.values()] == [(3,)] * 3


def test_slow_sides_get_fewer_turns() -> None:
    calls: list[int] = []

    def nap() -> None:
        calls.append(len(calls))
        time.sleep(0.002)

    sides = {"slow": Side(nap, 1)}
    timings = alternate(sides, Effort(rounds=50, seconds=0.0, patience=0.0))
    assert len(calls) == 2 + 3
    assert timings.nanoseconds["slow"].shape == (3,)


def test_costs_are_medians_and_ratios_go_pair_by_pair() -> None:
    timings = Timings({"slow": np.array([10.0, 90.0, 30.0]), "fast": np.array([1.0, 30.0, 2.0])})
    assert timings.median("slow") == 30.0
    assert timings.ratio("slow", "fast") == 10.0  # of 10, 3 and 15


def test_episodes_reset_and_go_on_through_the_pool() -> None:
    played: list[str | int] = []
    play = episodes(lambda: played.append("reset"), played.append, [1, 2, 3], steps=2)
    play()
    play()
    assert played == ["reset", 1, 2, "reset", 3, 1]


@pytest.mark.parametrize("draw", ["normal", "uniform"])
def test_actions_differ_between_environments_and_steps(draw: str) -> None:
    pool = draw_actions(draw, num_envs=50, agents=3)
    parameters = np.stack(pool)[..., 1]
    assert parameters.shape == (24, 50, 3)
    assert np.unique(parameters).size > 0.99 * parameters.size
    saturated = np.mean(np.abs(np.tanh(parameters)) > 0.9)
    assert saturated == pytest.approx({"normal": 0.141, "uniform": 0.853}[draw], abs=0.03)


def test_every_table_is_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "THREADS", (1,))  # more of torch's may wait long on a busy machine
    plan = QUICK._replace(
        effort=Effort(rounds=2, seconds=0.0),
        generators=(5,),
        step_generators=(5,),
        markets=1024,
        batch_sizes=(1, 8),
        sizes=((5, (8, 64)),),
        advance_sizes=(1, 8),
        fleet_envs=8,
        torch_sizes=(8,),
        training_sizes=(8,),
        batched_sizes=((2, 8),),
        python_envs=8,
        figure=tmp_path / "scaling.png",
    )
    tables = [table for measure in TABLES.values() for table in measure(plan)]
    for table in tables:
        # Two may be told to be absent: see the tests of each.
        assert table.rows or table.note.startswith("Skipped: ")
        assert {len(row) for row in table.rows} == {len(table.header)}
    aimed = targets.table(tables)
    assert aimed is not None
    assert len(aimed.rows) == len(targets.TARGETS)
    tables.insert(0, aimed)
    page = tmp_path / "RESULTS.md"
    write_results(page, preface("python -m bench", 0.25), tables, plan.figure)
    # The step, the observers and the throughput measure one case in common.
    assert sum(table.engine_step is not None for table in tables) == 3
    text = page.read_text(encoding="utf-8")
    assert "- load before the run: 0.25\n" in text
    assert all(f"## {table.title}\n" in text for table in tables)
    assert "](scaling.png)" in text
    assert f"vecmarket {vm.__version__}" in text
    assert "- command: `python -m bench`" in text
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RESULTS.md", "scaling.png"]


def test_processors_of_one_name_are_told_apart() -> None:
    first = "processor : 0\nmodel name : AMD EPYC\ncpu family : 25\nmodel : 17\nstepping : 1\n"
    second = first.replace("25", "26")
    assert _first_cpu(first + "\n" + second) == "AMD EPYC (family 25, model 17, stepping 1)"
    assert _first_cpu("model name : Cortex\n") == "Cortex"
    assert _first_cpu("processor : 0\n") == ""


def test_a_table_without_rows_is_its_note() -> None:
    assert Table("Title", "Skipped.", [], []).markdown() == "## Title\n\nSkipped.\n"


def test_a_table_reads_as_markdown() -> None:
    table = Table("Title", "Note.", ["a", "b"], [["1", "2"]])
    assert table.markdown() == "## Title\n\nNote.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"


@pytest.mark.parametrize(
    ("number", "text"), [(0.123, "0.12"), (41_530.0, "41.5 k"), (3.2e6, "3.20 M"), (417e6, "417 M")]
)
def test_rates_have_three_digits(number: float, text: str) -> None:
    assert rate(number) == text


def _measured(title: str, engine_step: float | None) -> Table:
    return Table(title, "Note.", ["a"], [["1"]], engine_step)


def test_a_quiet_machine_needs_no_warning() -> None:
    tables = [_measured("One", 100.0), _measured("Two", 149.0), _measured("Three", None)]
    assert busy(0.5, tables) == ""
    assert busy(None, []) == ""


def test_a_busy_machine_is_named() -> None:
    assert busy(2.56, []) == "The machine was busy: its load before the run was 2.56, above 0.5.\n\n"
    apart = busy(0.1, [_measured("One", 100.0), _measured("Two", 151.0)])
    assert apart.startswith("The machine was busy: the same case (5 generators, normal draw")
    assert "cost 100 ns in 'One', 151 ns in 'Two', more than 1.5x apart" in apart
