"""The targets: read from timings, judged by the worst, silent on what a run did not measure."""

from __future__ import annotations

import numpy as np
import pytest

from bench import sizes, step, threads, training
from bench.measure import Case, Timings
from bench.report import Table
from bench.targets import TARGETS, Found, Target, table


def _timings(**costs: float) -> Timings:
    return Timings({side: np.full(3, cost) for side, cost in costs.items()})


def _table(kind: str, timings: dict[Case, Timings]) -> Table:
    return Table("Title", "Note.", ["a"], [["1"]], kind=kind, timings=timings)


def _target(found: list[Found], limit: float, least: bool = False) -> Target:
    return Target("T", "what", limit, "{:.1f}".format, "kind", lambda _: found, least)


@pytest.mark.parametrize(
    ("values", "least", "told"),
    [
        ([1.0], False, ["at most 2.0", "1.0", "at 0", "yes"]),
        ([2.0], False, ["at most 2.0", "2.0", "at 0", "yes"]),
        ([1.0, 3.0], False, ["at most 2.0", "3.0", "at 1, the worst of 2", "**no**"]),
        ([3.0, 2.5], True, ["at least 2.0", "2.5", "at 1, the worst of 2", "yes"]),
        ([1.0, 3.0], True, ["at least 2.0", "1.0", "at 0, the worst of 2", "**no**"]),
        ([], True, ["at least 2.0", "—", "not measured in this run", "—"]),
    ],
)
def test_the_worst_value_decides(values: list[float], least: bool, told: list[str]) -> None:
    found = [Found(value, f"at {place}") for place, value in enumerate(values)]
    assert _target(found, 2.0, least).row([_table("kind", {})]) == ["T", "what", *told]


def test_other_tables_are_not_read() -> None:
    row = _target([Found(1.0, "here")], 2.0).row([_table("another kind", {})])
    assert row[4] == "not measured in this run"


def test_nothing_is_told_of_tables_that_were_not_measured() -> None:
    assert table([]) is None
    assert table([_table("", {})]) is None
    case = Case("normal", 5, 8192)
    found = table([_table(step.KIND, {case: _timings(engine=25.0, copy=5.0, numba=110.0, mixed=7000.0)})])
    assert found is not None
    rows = {(row[0], row[1]): row[2:] for row in found.rows}
    assert len(rows) == len(found.rows) == sum(target.kind == step.KIND for target in TARGETS)
    where = "normal draw, G = 5, N = 8192"
    assert rows["S1", "`Engine.step`, G = 5, one thread"] == ["at most 28.0 ns", "25.0 ns", where, "yes"]
    assert rows["S1", "Python + numba / `Engine.step`, G = 5"] == ["at least 300x", "280x", where, "**no**"]
    assert rows["S1", "batched numba / `Engine.step`, G = 5"] == ["at least 4.00x", "4.40x", where, "yes"]
    assert rows["S5", "`Engine.step` / copy of its bytes, G = 5"] == ["at most 6.00x", "5.00x", where, "yes"]
    assert rows["S2", "`Engine.step`, G = 20, one thread"][2:] == ["not measured in this run", "—"]


def test_of_more_threads_the_least_useful_counts() -> None:
    names = ("1 thread", "2 threads", "16 threads")
    timings = Timings(
        {name: np.full(3, cost) for name, cost in zip(names, (100.0, 50.0, 120.0), strict=True)}
    )
    found = table([_table(threads.KIND, {Case("normal", 5, 65536): timings})])
    assert found is not None
    assert [row[3] for row in found.rows] == ["2.00x", "—", "0.83x", "0.83x"]
    assert [row[5] for row in found.rows] == ["yes", "—", "**no**", "**no**"]


def test_growth_is_told_beyond_the_copys_and_turn_by_turn() -> None:
    turns = {
        "engine": np.array([30.0, 60.0, 34.0]),
        "copy": np.array([9.0, 9.0, 9.0]),
        f"engine of {sizes.SMALL}": np.array([20.0, 40.0, 20.0]),
        f"copy of {sizes.SMALL}": np.array([4.0, 4.0, 4.0]),
    }
    # Beyond the copy's 5 ns: 5 of 20, 15 of 40 and 9 of 20 ns.
    assert sizes.growth_beyond_copy(Timings(turns)) == pytest.approx(0.375)


def test_agent_steps_are_counted_on_two_threads_of_torch() -> None:
    timings = _timings(**{"1 thread": 10_000.0, "2 threads": 5_000.0})
    found = table([_table(training.KIND, {Case("policy", 5, size): timings for size in (256, 1024)})])
    assert found is not None
    assert [row[2:] for row in found.rows] == [
        ["at least 140 k", "200 k", "policy draw, G = 5, N = 1024", "yes"]
    ]


def test_every_target_has_its_tables() -> None:
    assert {target.id for target in TARGETS} == {f"S{number}" for number in (*range(1, 11), 13)}
    assert len({(target.id, target.what) for target in TARGETS}) == len(TARGETS)
