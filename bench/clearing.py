"""Bare clearing: `vecmarket.clear` beside numba, NumPy and Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import vecmarket as vm
from bench.baselines import numba_clear, numpy_batch, python_env
from bench.baselines.fleet import fleet_of
from bench.measure import Case, Side, alternate
from bench.plan import Markets, Plan, draw_markets
from bench.report import Table, microseconds, nanoseconds, times

BATCH = 1000
ONE_CALL, BATCHES = "one market a call", "batches"


def tables(plan: Plan) -> list[Table]:
    """Return the tables of one market a call and of a batch of 1000."""
    return [_one_call(plan), _batches(plan)]


def _one_call(plan: Plan) -> Table:
    rows, measured = [], {}
    for draw in plan.draws:
        for generators in plan.generators:
            markets = _markets(draw, generators, plan.markets)
            arrays = list(zip(*markets[:2], markets.demand.tolist(), strict=True))
            lists = [(p.tolist(), q.tolist(), d) for p, q, d in arrays]
            sides = {
                "vecmarket": Side(_each(vm.clear, arrays), len(arrays)),
                "numba": Side(_each(numba_clear.clear, arrays), len(arrays)),
                "python": Side(_each(python_env.clear, lists), len(lists)),
            }
            timings = alternate(sides, plan.effort)
            measured[Case(draw, generators, 1)] = timings
            cells = [microseconds(timings.median(side)) for side in sides]
            ratios = [times(timings.ratio(side, "vecmarket")) for side in ("numba", "python")]
            rows.append([draw, str(generators), *cells, *ratios])
    header = ["price draw", "G", "vm.clear, µs", "numba, µs", "Python lists, µs", "numba / vm", "Python / vm"]
    note = (
        f"One market a call, called from Python, {plan.markets} different markets in turn, one thread. "
        "Each side returns price, dispatch and unserved energy; `vm.clear` also checks its input and names "
        "the marginal unit."
    )
    title = "Bare clearing, one market a call"
    return Table(title, note, header, rows, kind=ONE_CALL, timings=measured)


def _batches(plan: Plan) -> Table:
    rows, measured = [], {}
    for draw in plan.draws:
        for generators in plan.generators:
            markets = _markets(draw, generators, plan.markets)
            batches = [
                Markets(*(part[start : start + BATCH] for part in markets))
                for start in range(0, plan.markets - BATCH + 1, BATCH)
            ]
            cleared = BATCH * len(batches)
            arrays = list(zip(*markets[:2], markets.demand.tolist(), strict=True))[:cleared]
            sides = {
                "vecmarket": Side(_each(vm.clear, batches), cleared),
                "numba calls": Side(_each(numba_clear.clear, arrays), cleared),
                "numba batch": Side(_each(numba_clear.clear_many, batches), cleared),
                "numpy": Side(_each(numpy_batch.clear_batch, batches), cleared),
            }
            timings = alternate(sides, plan.effort)
            measured[Case(draw, generators, BATCH)] = timings
            cells = [nanoseconds(timings.median(side)) for side in sides]
            ratios = [times(timings.ratio(side, "vecmarket")) for side in list(sides)[1:]]
            rows.append([draw, str(generators), *cells, *ratios])
    header = [
        "price draw",
        "G",
        "vm.clear, ns",
        "loop of numba calls, ns",
        "numba, one call, ns",
        "NumPy argsort, ns",
    ]
    header += ["numba loop / vm", "numba batch / vm", "NumPy / vm"]
    note = (
        f"Cost per market in batches of ({BATCH}, G), {plan.markets // BATCH} different batches, one thread."
    )
    title = f"Bare clearing, batches of {BATCH}"
    return Table(title, note, header, rows, kind=BATCHES, timings=measured)


def _markets(draw: str, generators: int, count: int) -> Markets:
    return draw_markets(draw, fleet_of(vm.Scenario.default(generators)), count)


def _each(clear: Callable[..., object], arguments: Iterable[tuple[Any, ...]]) -> Callable[[], None]:
    def run() -> None:
        for prices, quantities, demand in arguments:
            clear(prices, quantities, demand)

    return run
