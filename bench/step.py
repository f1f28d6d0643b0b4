"""The full step of a market in which every agent acts and observes."""

from __future__ import annotations

import numpy as np

import vecmarket as vm
from bench.baselines.fleet import fleet_of
from bench.baselines.numba_batch import NumbaBatch
from bench.baselines.numpy_batch import NumpyBatch
from bench.baselines.python_env import PythonEnv
from bench.baselines.python_step import PythonStep
from bench.floor import COPIED, copy_of_outputs
from bench.measure import Case, Side, alternate, episodes
from bench.plan import Plan, draw_actions
from bench.report import CASE_DRAW, CASE_GENERATORS, Table, microseconds, nanoseconds, times

HOURS = 24
KIND = "step"
LARGE = 1000  # generators from which memory and patience ask for fewer environments


def tables(plan: Plan) -> list[Table]:
    """Return the table of the full step."""
    rows, measured = [], {}
    engine_step = None
    for draw in plan.draws:
        for generators in plan.step_generators:
            sides = _sides(plan, draw, generators)
            timings = alternate(sides, plan.effort)
            measured[Case(draw, generators, _envs(plan, generators))] = timings
            if (draw, generators) == (CASE_DRAW, CASE_GENERATORS):
                engine_step = timings.median("engine")
            costs = [timings.median(side) for side in sides]
            ratios = [times(timings.ratio(side, "engine")) for side in ("numba", "numpy", "mixed", "python")]
            cells = [*map(nanoseconds, costs[:4]), *map(microseconds, costs[4:])]
            rows.append([draw, str(generators), *cells, *ratios, times(timings.ratio("engine", "copy"))])
    header = [
        "price draw",
        "G",
        "Engine.step, ns",
        "copy of its bytes, ns",
        "batched numba, ns",
        "batched NumPy, ns",
    ]
    header += [
        "Python + numba, µs",
        "Python env, µs",
        "numba / engine",
        "NumPy / engine",
        "Python + numba / engine",
    ]
    header += ["Python env / engine", "engine / copy"]
    note = (
        "Cost of one environment step, one thread: bids, clearing, settlement, rewards, clock, demand noise "
        "and observations (`simple_v3`) of every agent, with flags, prices and dispatch written. Whole days: "
        f"24 steps and their reset. The engine and numba step {plan.markets} environments "
        f"({plan.markets // 2} and {plan.markets // 16} at G = {LARGE}), NumPy {plan.markets // 8} "
        f"({plan.markets // 64}), the Python sides one after another. The Python environment has one learner "
        f"and asks its truthful rivals one by one. {COPIED}"
    )
    return [Table("Full step, all agents observed", note, header, rows, engine_step, KIND, measured)]


def _sides(plan: Plan, draw: str, generators: int) -> dict[str, Side]:
    scenario = vm.Scenario.default(generators, HOURS)
    fleet = fleet_of(scenario)
    large = generators >= LARGE
    for_engine = _envs(plan, generators)
    for_numba = plan.markets // 16 if large else plan.markets
    for_numpy = plan.markets // (64 if large else 8)

    pool = draw_actions(draw, for_engine, generators)
    engine = vm.Engine(scenario, for_engine, threads=1)
    numba = NumbaBatch(fleet, for_numba)
    numpy = NumpyBatch(fleet, for_numpy)
    mixed = PythonStep(fleet)
    python = PythonEnv(fleet)
    one_by_one = [actions[n] for n in range(64) for actions in pool]
    return {
        "engine": Side(episodes(engine.reset, engine.step, pool, HOURS), HOURS * for_engine),
        "copy": Side(copy_of_outputs(engine), for_engine),
        "numba": Side(episodes(numba.reset, numba.step, _first(pool, for_numba), HOURS), HOURS * for_numba),
        "numpy": Side(episodes(numpy.reset, numpy.step, _first(pool, for_numpy), HOURS), HOURS * for_numpy),
        "mixed": Side(episodes(mixed.reset, mixed.step, one_by_one, HOURS), HOURS),
        "python": Side(episodes(python.reset, python.step, [a[0] for a in one_by_one], HOURS), HOURS),
    }


def _envs(plan: Plan, generators: int) -> int:
    return plan.markets // 2 if generators >= LARGE else plan.markets


def _first(pool: list[np.ndarray], count: int) -> list[np.ndarray]:
    return [np.ascontiguousarray(actions[:count]) for actions in pool]
