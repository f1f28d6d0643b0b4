"""The guard on instruction counts: what it reads, what it compares, and when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench import instructions
from bench.instructions import MARGIN, OTHER_COMPILER, RECORD, Counts, Failure, judge

COUNTS = Counts(
    machine="x86_64",
    rustc="1.88.0",
    valgrind="valgrind-3.19.0",
    instructions={"avx2": {"step": 1000.0, "clear": 500.0}, "baseline": {"step": 2000.0, "clear": 500.0}},
)


def _changed(factor: float) -> Counts:
    """Return the counts with one of them grown or shrunk."""
    return replace(
        COUNTS, instructions={**COUNTS.instructions, "avx2": {"step": 1000.0 * factor, "clear": 500.0}}
    )


def test_equal_counts_pass() -> None:
    lines, status = judge(COUNTS, COUNTS)
    assert status == 0
    assert lines[-1] == "no more instructions than recorded, within the margin"
    assert [line.split() for line in lines[3:7]] == [
        ["avx2", "step", "1000.0", "1000.0", "+0.0%"],
        ["avx2", "clear", "500.0", "500.0", "+0.0%"],
        ["baseline", "step", "2000.0", "2000.0", "+0.0%"],
        ["baseline", "clear", "500.0", "500.0", "+0.0%"],
    ]


@pytest.mark.parametrize("factor", [1 - 0.9 * MARGIN, 1 + 0.9 * MARGIN])
def test_a_change_within_the_margin_passes(factor: float) -> None:
    lines, status = judge(_changed(factor), COUNTS)
    assert status == 0
    assert lines[-1] == "no more instructions than recorded, within the margin"


def test_a_growth_fails_and_is_named() -> None:
    lines, status = judge(_changed(1 + 1.1 * MARGIN), COUNTS)
    assert status == 1
    assert [line for line in lines if line.endswith("grew")] == [lines[3]]
    assert lines[3].split() == ["avx2", "step", "1000.0", "1055.0", "+5.5%", "grew"]
    assert lines[-1].startswith("grew by more than 5%")


def test_a_much_cheaper_case_asks_for_a_new_record() -> None:
    lines, status = judge(_changed(0.5), COUNTS)
    assert status == 0
    assert lines[3].split()[-2:] == ["-50.0%", "cheaper"]
    assert "renew the record" in lines[-1]


@pytest.mark.parametrize(("factor", "told"), [(1 + 2 * MARGIN, False), (1 + 1.1 * OTHER_COMPILER, True)])
def test_another_compiler_only_warns_and_of_larger_growth(factor: float, told: bool) -> None:
    lines, status = judge(replace(_changed(factor), rustc="1.99.0"), COUNTS)
    assert status == 0
    assert "the record is by rustc 1.88.0, this is 1.99.0: a growth only warns" in lines
    assert any(line.endswith("grew") for line in lines) == told
    assert any(line.startswith("grew by more than 15%") for line in lines) == told


def test_another_valgrind_is_named_and_compared() -> None:
    lines, status = judge(replace(_changed(2.0), valgrind="valgrind-3.25.0"), COUNTS)
    assert status == 1
    assert "the record is by valgrind-3.19.0, this is valgrind-3.25.0" in lines


def test_another_machine_is_not_compared() -> None:
    found = replace(COUNTS, machine="aarch64", instructions={"baseline": {"step": 9000.0}})
    lines, status = judge(found, COUNTS)
    assert status == 0
    assert lines[-1] == "the record is of x86_64, this is aarch64: nothing is compared"


@pytest.mark.parametrize("verdict", ["not recorded", "gone"])
def test_cases_without_a_counterpart_fail(verdict: str) -> None:
    fewer = replace(COUNTS, instructions={"avx2": COUNTS.instructions["avx2"]})
    sides = (COUNTS, fewer) if verdict == "not recorded" else (fewer, COUNTS)
    lines, status = judge(*sides)
    assert status == 1
    assert sum(line.endswith(verdict) for line in lines) == 2


def test_a_profile_gives_its_total() -> None:
    profile = (
        "# callgrind format\nversion: 1\nevents: Ir\nsummary: 12\n\nfn=(1) counted\n0 12\n\ntotals: 12\n"
    )
    assert instructions.collected(profile) == 12


@pytest.mark.parametrize("profile", ["", "totals: 0\n"])
def test_a_profile_of_nothing_is_a_failure(profile: str) -> None:
    with pytest.raises(Failure, match="callgrind counted nothing"):
        instructions.collected(profile)


def test_the_program_is_the_one_that_cargo_built() -> None:
    messages = [
        {"reason": "compiler-artifact", "target": {"name": "vecmarket"}, "executable": None},
        {"reason": "build-script-executed", "package_id": "libm"},
        {
            "reason": "compiler-artifact",
            "target": {"name": "instructions"},
            "executable": "built/instructions-1",
        },
        {"reason": "build-finished", "success": True},
    ]
    lines = [json.dumps(message) for message in messages]
    assert instructions.executable("\n".join(lines)) == Path("built/instructions-1")
    with pytest.raises(Failure, match="cargo built no program"):
        instructions.executable("\n".join(lines[:2]))


def test_systems_without_valgrind_are_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert instructions.unavailable("linux") is None
    monkeypatch.setattr(instructions.sys, "platform", "darwin")
    assert instructions.main([]) == 0
    assert capsys.readouterr().out == "instructions are not counted: valgrind does not run on darwin\n"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Counts], None]:
    """Return a call that sets what will be counted; the record is a file of the test."""
    monkeypatch.setattr(instructions.sys, "platform", "linux")
    monkeypatch.setattr(instructions, "RECORD", tmp_path / "instructions.json")
    return lambda found: monkeypatch.setattr(instructions, "count_all", lambda: found)


def test_counts_are_recorded_and_then_compared(
    counted: Callable[[Counts], None], capsys: pytest.CaptureFixture[str]
) -> None:
    counted(COUNTS)
    assert instructions.main([]) == 1
    assert "nothing is recorded yet" in capsys.readouterr().err
    assert instructions.main(["--record"]) == 0
    assert Counts.load(instructions.RECORD) == COUNTS
    assert instructions.main([]) == 0
    counted(_changed(1.2))
    assert instructions.main([]) == 1
    assert "+20.0%  grew" in capsys.readouterr().out


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(instructions.sys, "platform", "linux")
    monkeypatch.setattr(instructions.shutil, "which", lambda tool: None)
    assert instructions.main([]) == 1
    assert capsys.readouterr().err == "instructions: valgrind is not found: apt-get install valgrind\n"


def test_the_shipped_record_reads() -> None:
    recorded = Counts.load(RECORD)
    assert recorded.flat()
    assert all(count > 0 for count in recorded.flat().values())
