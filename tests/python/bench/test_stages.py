"""The profile by stage: reading callgrind's and addr2line's output."""

from __future__ import annotations

from bench.stages import STAGES, executed, inlined, stage_of, table

PROFILE = """\
positions: instr
events: Ir

ob=(1) /lib/libc.so.6
fn=(1) memcpy
0x100 7
+4 7

ob=(2) /home/user/target/release/deps/program-1234
fn=(2) step
0x200 5
+4 5
cob=(1) /lib/libc.so.6
cfn=(1)
calls=5 0x100
* 70
+8 5

ob=(2)
fn=(3) counted
0x200 2
-16 1
""".splitlines()

LISTING = """\
0x0000000000000200
tanh<pulp::x86::v3::V3>
src/math.rs:12
vecmarket::bidding::offer<pulp::x86::v3::V3, f64>
src/bidding.rs:40
run<pulp::x86::v3::V3>
src/step.rs:90
0x0000000000000204
??
??:0
""".splitlines()


def test_instructions_of_the_program_alone_are_counted() -> None:
    """What a called function cost stands behind its call, and is counted where it ran."""
    assert executed(PROFILE, "program-1234") == {0x200: 7, 0x204: 5, 0x20C: 5, 0x1F0: 1}


def test_an_instruction_belongs_to_the_innermost_stage() -> None:
    places = dict(inlined(LISTING))
    assert list(places) == [0x200, 0x204]
    assert stage_of(places[0x200]) == STAGES["tanh"]
    assert stage_of(places[0x200][1:]) == STAGES["offer"]
    assert stage_of(places[0x204]) == "other"


def test_the_table_sums_every_column() -> None:
    lines = table({"a": {"clock": 2.0, "other": 1.0}, "b": {"checks": 3.0}})
    assert lines[0] == "| stage | a | b |"
    assert "| clock | 2 | 0 |" in lines
    assert lines[-1] == "| all | 3 | 3 |"
