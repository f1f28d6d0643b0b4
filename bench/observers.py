"""What the observations cost: the engine by difference, numba and Python with nothing but them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

import vecmarket as vm
from bench.baselines.fleet import fleet_of
from bench.baselines.observers import PRESETS, NumbaObserver, PythonObserver
from bench.measure import Side, Timings, alternate, episodes
from bench.plan import Plan, draw_actions
from bench.report import CASE_GENERATORS, Table, nanoseconds, times

HOURS = 24
LOOKS = HOURS + 1  # observations of a day, its first one included
CHEAPEST = ("capacity",)


def tables(plan: Plan) -> list[Table]:
    """Return the table of observation presets."""
    markets = plan.markets // 2
    rows = []
    engine_step = None
    for generators in plan.generators:
        timings = alternate(_sides(generators, markets), plan.effort)
        if generators == CASE_GENERATORS:
            engine_step = timings.median(_engine("simple_v3")) * generators * LOOKS / HOURS
        rows += [[str(generators), f"`{preset}`", *_cells(timings, preset)] for preset in PRESETS]
    header = ["G", "preset", "engine, ns per agent row", "numba, ns", "Python, ns"]
    header += ["numba / engine", "Python / engine"]
    note = (
        f"Cost of one agent's row of observations, one thread, {markets} environments, normal price draw. "
        "The engine's is a difference: `Engine.step` with the preset less `Engine.step` with the one feature "
        "`capacity`, in alternating turns, the median over the turns. Since that feature has to be written "
        "too, the engine's cost is a lower bound and the ratios are upper ones. numba writes the same rows "
        "for all environments in one call and does nothing else; Python builds an array for each agent of "
        "one environment. Where a quarter of the differences are not above zero the cost is lost in the "
        "turns' noise, and no ratio is given (—)."
    )
    return [Table("Observers", note, header, rows, engine_step)]


def _cells(timings: Timings, preset: str) -> list[str]:
    extra = timings.nanoseconds[_engine(preset)] - timings.nanoseconds[_engine(CHEAPEST)]
    engine = float(np.median(extra))
    others = [timings.median(f"{side} {preset}") for side in ("numba", "python")]
    told = float(np.quantile(extra, 0.25)) > 0
    ratios = [times(other / engine) if told else "—" for other in others]
    return [nanoseconds(cost) for cost in (engine, *others)] + ratios


def _sides(generators: int, markets: int) -> dict[str, Side]:
    pool = draw_actions("normal", markets, generators)
    base = vm.Scenario.default(generators, HOURS)
    fleet = fleet_of(base)
    demand = [np.random.default_rng(hour).uniform(30, 120, markets) for hour in range(LOOKS)]
    plain = [float(drawn[0]) for drawn in demand]
    clocks = [np.full(markets, hour) for hour in range(LOOKS)]
    all_rows, rows = LOOKS * markets * generators, LOOKS * generators
    sides = {}
    for observation in (CHEAPEST, *PRESETS):
        engine = vm.Engine(base.replace(observation=observation), markets, threads=1)
        sides[_engine(observation)] = Side(episodes(engine.reset, engine.step, pool, HOURS), all_rows)
    for preset in PRESETS:
        numba, python = NumbaObserver(fleet, preset, markets), PythonObserver(fleet, preset)
        sides[f"numba {preset}"] = Side(_numba_day(numba, demand, clocks), all_rows)
        sides[f"python {preset}"] = Side(_python_day(python, plain), rows)
    return sides


def _numba_day(
    observer: NumbaObserver, demand: Sequence[NDArray[np.float64]], clocks: Sequence[NDArray[np.int64]]
) -> Callable[[], None]:
    def run() -> None:
        for coming, clock in zip(demand, clocks, strict=True):
            observer.observe(coming, clock)

    return run


def _python_day(observer: PythonObserver, demand: Sequence[float]) -> Callable[[], None]:
    def run() -> None:
        for hour, coming in enumerate(demand):
            observer.observe(coming, hour)

    return run


def _engine(observation: str | tuple[str, ...]) -> str:
    return f"engine {observation}"
