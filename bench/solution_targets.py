"""The times to solution aimed at: S11 of one agent's best response, S12 of all agents in rounds."""

from __future__ import annotations

import math

from bench.methods import EASY, NATIVE
from bench.report import Table
from bench.solution import KIND, Mark, percent, seconds
from bench.targets import Found, Target
from bench.whole_job import KIND as ROUNDS
from bench.whole_job import LONG, SHORT, UNTIL_NEAR, WHOLE, Rounds

NOTE = "Read from the tables below: medians over the runs."


def _one_agent(share: float | None, what: str, limit: float) -> Target:
    """Return a target of the easy agent's native run: seconds to a share, or the share at the end (None)."""

    def find(table: Table) -> list[Found]:
        value = table.figures.get(Mark(EASY, NATIVE, share))
        return [] if value is None else [Found(value, f"agent {EASY}, median")]

    write = percent if share is None else _seconds
    return Target("S11", what, limit, write, KIND, find, least=share is None)


def _all_agents(rounds: Rounds, figure: str, what: str, limit: float) -> Target:
    def find(table: Table) -> list[Found]:
        value = table.figures.get((NATIVE, rounds, figure))
        return [] if value is None else [Found(value, f"{rounds}, median")]

    return Target("S12", what, limit, _seconds, ROUNDS, find)


def _seconds(value: float) -> str:
    return seconds(value) + (" s" if math.isfinite(value) else "")


TARGETS = (
    _one_agent(0.8, f"agent {EASY} of `default`, native backend: until 80 % of the best-response gain", 0.25),
    _one_agent(0.9, "the same until 90 %", 2.0),
    _one_agent(None, "the same: share at the end of the run", 0.95),
    _all_agents(SHORT, WHOLE, "5 agents of `default`, native backend: 3 rounds of 5000 steps an agent", 0.5),
    _all_agents(LONG, UNTIL_NEAR, "the same until every agent has 90 % of its best response's profit", 3.0),
)
