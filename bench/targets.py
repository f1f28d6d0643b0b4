"""The speeds aimed at, beside those that the tables of the same run found."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

from bench import clearing, inference, memory, native, sizes, step, threads, throughput, training
from bench.measure import Timings
from bench.plan import threads_name
from bench.report import Table, microseconds, nanoseconds, rate, times

# Smaller differences are noise. Without some room, half of all runs would miss a target of equality.
AS_FAST = 0.97  # more threads are not slower than one: at least that many times as fast
AS_FLAT = 0.05  # a step's cost grows no more than the copy's: by that share of it at most
ANY: range = range(1 << 62)


class Found(NamedTuple):
    """One measured value of a target, and where it was measured."""

    value: float
    where: str


class Target(NamedTuple):
    """One speed aimed at."""

    id: str
    what: str
    limit: float
    write: Callable[[float], str]
    kind: str  # of the tables that it is read from
    find: Callable[[Table], list[Found]]  # in one of them
    least: bool = False  # the limit is the least that will do, not the most

    def row(self, tables: Sequence[Table]) -> list[str]:
        """Return the row of the table of targets; the worst of all that was found decides."""
        sign = "at least" if self.least else "at most"
        cells = [self.id, self.what, f"{sign} {self.write(self.limit)}"]
        found = [value for table in tables if table.kind == self.kind for value in self.find(table)]
        if not found:
            return [*cells, "—", "not measured in this run", "—"]
        worst = (min if self.least else max)(found)
        met = worst.value >= self.limit if self.least else worst.value <= self.limit
        where = worst.where + (f", the worst of {len(found)}" if len(found) > 1 else "")
        return [*cells, self.write(worst.value), where, "yes" if met else "**no**"]


NOTE = (
    "Read from the timings of the tables below: medians, and ratios pair by pair. Of several values the "
    "worst decides. Nanoseconds are meant for one Zen 4 core beside the baselines' times; on another "
    "processor, or a busy one, the ratios tell more. More threads count as not slower than one where the "
    f"median ratio is {AS_FAST} or more, and a step's cost as growing no more than the copy's where what "
    f"it grows beyond that is at most {AS_FLAT:.0%} of its cost at N = {sizes.SMALL}: less cannot be "
    "told from noise."
)


def table(tables: Sequence[Table], targets: Sequence[Target] | None = None, note: str = NOTE) -> Table | None:
    """Return the targets (`TARGETS` when None) that the tables tell of, None where they tell of none."""
    kinds = {table.kind for table in tables}
    chosen = TARGETS if targets is None else targets
    rows = [target.row(tables) for target in chosen if target.kind in kinds]
    header = ["id", "what", "target", "measured", "where", "met"]
    return Table("Targets", note, header, rows) if rows else None


def _over(
    value: Callable[[Timings], float | None],
    generators: Container[int] = ANY,
    envs: Container[int] = ANY,
) -> Callable[[Table], list[Found]]:
    """Return what finds a value in the timings of those cases; None is no value."""

    def find(table: Table) -> list[Found]:
        values = {
            case: value(timings)
            for case, timings in table.timings.items()
            if case.generators in generators and case.envs in envs
        }
        return [Found(number, str(case)) for case, number in values.items() if number is not None]

    return find


def _cost(side: str) -> Callable[[Timings], float]:
    return lambda timings: timings.median(side)


def _ratio(slow: str, fast: str) -> Callable[[Timings], float | None]:
    return lambda timings: timings.ratio(slow, fast) if fast in timings.nanoseconds else None


def _cost_of_a_call(timings: Timings) -> float:
    """Return the cost of one call of the learner's environment, whose day has one more than hours."""
    return timings.median(LEARNER) * throughput.HOURS / (throughput.HOURS + 1)


def _least_gain(timings: Timings) -> float:
    """Return what the least useful number of threads gains over one."""
    return min(
        timings.ratio(threads_name(1), more) for more in timings.nanoseconds if more != threads_name(1)
    )


def _figure(generators: int) -> Callable[[Table], list[Found]]:
    def find(table: Table) -> list[Found]:
        return [
            Found(figure, f"G = {generators}")
            for case, figure in table.figures.items()
            if case.generators == generators
        ]

    return find


def _all_figures(table: Table) -> list[Found]:
    return [Found(figure, str(case)) for case, figure in table.figures.items()]


def _bytes(count: float) -> str:
    return f"{count:.0f} bytes"


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _ns(cost: float) -> str:
    return f"{nanoseconds(cost)} ns"


def _us(cost: float) -> str:
    return f"{microseconds(cost)} µs"


def _step_cost(name: str, generators: int, limit: float) -> Target:
    what = f"`Engine.step`, G = {generators}, one thread"
    return Target(name, what, limit, _ns, step.KIND, _over(_cost("engine"), [generators]))


def _step_ratio(name: str, generators: int, side: str, other: str, limit: float) -> Target:
    what = f"{other} / `Engine.step`, G = {generators}"
    find = _over(_ratio(side, "engine"), [generators])
    return Target(name, what, limit, times, step.KIND, find, least=True)


def _batch_ratio(what: str, generators: Container[int], limit: float) -> Target:
    what = f"loop of numba calls / `vm.clear` of {clearing.BATCH} markets, {what}"
    find = _over(_ratio("numba calls", "vecmarket"), generators)
    return Target("S4", what, limit, times, clearing.BATCHES, find, least=True)


def _threads(what: str, count: int, envs: Container[int], limit: float) -> Target:
    what = f"`Engine.step`, G = 5, {count} threads / 1, {what}"
    find = _over(_ratio(threads_name(1), threads_name(count)), [5], envs)
    return Target("S6", what, limit, times, threads.KIND, find, least=True)


def _state(generators: int) -> Target:
    what = f"state of an environment, G = {generators}: 64 bytes + 24 an agent"
    return Target("S13", what, 64 + 24 * generators, _bytes, memory.KIND, _figure(generators))


LEARNER = throughput.vector_name(1, copy=False)

TARGETS = (
    _step_cost("S1", 5, 28.0),
    _step_ratio("S1", 5, "mixed", "Python + numba", 300.0),
    _step_ratio("S1", 5, "numba", "batched numba", 4.0),
    _step_cost("S2", 20, 150.0),
    _step_cost("S2", 50, 320.0),
    _step_cost("S2", 100, 550.0),
    _step_cost("S2", 1000, 4500.0),
    _step_ratio("S2", 20, "numba", "batched numba", 6.0),
    _step_ratio("S2", 100, "numba", "batched numba", 6.0),
    Target(
        "S3",
        "`MarketVectorEnv.step`, one learner, G = 5, copy=False, one thread",
        18.0,
        _ns,
        throughput.KIND,
        _over(_cost(LEARNER), envs=[8192]),
    ),
    Target(
        "S3",
        "the same, a whole call at N = 1",
        4000.0,
        _us,
        throughput.KIND,
        _over(_cost_of_a_call, envs=[1]),
    ),
    Target(
        "S4",
        "numba's call / `vm.clear` of one market, every G",
        1.0,
        times,
        clearing.ONE_CALL,
        _over(_ratio("numba", "vecmarket")),
        least=True,
    ),
    _batch_ratio("G up to 20", range(21), 10.0),
    _batch_ratio("G = 100", [100], 4.0),
    Target(
        "S5",
        "`Engine.step` / copy of its bytes, G = 5",
        6.0,
        times,
        step.KIND,
        _over(_ratio("engine", "copy"), [5]),
    ),
    Target(
        "S5",
        f"growth of `Engine.step` from N = {sizes.SMALL} on beyond the copy's, G = 5",
        AS_FLAT,
        _percent,
        sizes.KIND,
        _over(sizes.growth_beyond_copy, [5], range(sizes.SMALL + 1, 1 << 62)),
    ),
    _threads("N from 16384 on", 2, range(16384, 1 << 62), 1.85),
    _threads("N = 4096", 2, [4096], 1.6),
    _threads("N = 65536", 16, [65536], 13.0),
    Target(
        "S6",
        "any number of threads / 1, every N, G = 5 and 100",
        AS_FAST,
        times,
        threads.KIND,
        _over(_least_gain),
        least=True,
    ),
    Target(
        "S7",
        "`MlpPolicy`, 7-64-64-2, a row, N from 1024 on, one thread",
        120.0,
        _ns,
        inference.KIND,
        _over(_cost(inference.ROW), envs=range(1024, 1 << 62)),
    ),
    Target(
        "S7",
        f"`MarketVectorEnv.step` with {inference.RIVALS} such rivals / a row, N from 1024 on, one thread",
        1.15 * inference.RIVALS,
        times,
        inference.STEPS,
        _over(_ratio(inference.POLICY, inference.ROW), envs=range(1024, 1 << 62)),
    ),
    Target(
        "S9",
        "`PPO.iterate` on 2 threads of torch, agent-steps a second",
        140e3,
        rate,
        training.KIND,
        _over(training.steps_per_second(2), envs=[1024]),
        least=True,
    ),
    Target(
        "S8",
        "`NativeCollector` on one thread, agent-steps a second",
        3.5e6,
        rate,
        native.KIND,
        _over(native.steps_per_second(native.rollout(1))),
        least=True,
    ),
    Target(
        "S10",
        "`NativePPO.iterate` on 2 threads, agent-steps a second",
        540e3,
        rate,
        native.KIND,
        _over(native.steps_per_second(native.native(2)), envs=[1024]),
        least=True,
    ),
    Target(
        "S10",
        "the bare matrix products of an agent-step / `NativePPO.iterate`, one thread",
        0.8,
        _percent,
        native.KIND,
        _all_figures,
        least=True,
    ),
    *(_state(generators) for generators in memory.GENERATORS),
)
