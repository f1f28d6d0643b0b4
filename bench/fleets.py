"""The learner's step in larger fleets: `MarketVectorEnv` beside numba."""

from __future__ import annotations

import numpy as np

import vecmarket as vm
from bench.baselines.fleet import fleet_of
from bench.baselines.numba_batch import NumbaBatch
from bench.measure import Case, Side, Timings, alternate, autoreset_day, episodes
from bench.plan import Plan, draw_actions
from bench.report import CASE_DRAW, Table, nanoseconds, times

HOURS = 24
NOISE = 0.05  # of the scenario `default`, for which the load of the test system is noisy, too
KIND = "fleets"
ENV, NUMBA = "MarketVectorEnv", "batched numba"


def tables(plan: Plan) -> list[Table]:
    """Return the table of one learner in larger fleets."""
    rows = []
    measured: dict[Case, Timings] = {}
    for name, scenario in _scenarios().items():
        case = Case(CASE_DRAW, len(scenario.generators), plan.fleet_envs)
        timings = measured[case] = alternate(_sides(case, scenario), plan.effort)
        costs = [nanoseconds(timings.median(side)) for side in (ENV, NUMBA)]
        rows.append([name, str(case.generators), *costs, times(timings.ratio(NUMBA, ENV))])
    header = ["scenario", "G", "MarketVectorEnv, ns", "batched numba, one learner, ns", "numba / env"]
    note = (
        f"Cost of one environment step, N = {plan.fleet_envs}, one thread, {CASE_DRAW} price draw: one "
        "learner among truthful rivals, copy=False, default autoreset (25 calls play 24 steps). `ieee-rts` "
        f"plays the first day of its year with {NOISE:.0%} of noise on the load, which is what numba knows."
    )
    return [Table("One learner in larger fleets", note, header, rows, kind=KIND, timings=measured)]


def _scenarios() -> dict[str, vm.Scenario]:
    test_system = vm.Scenario.ieee_rts(horizon=HOURS)
    first_day = vm.Demand(test_system.demand.series_mw[:HOURS], noise=NOISE)
    return {
        "`default`": vm.Scenario.default(5, HOURS),
        "`ieee-rts`": test_system.replace(demand=first_day, episode_start="first"),
        "`default`, 100 generators": vm.Scenario.default(100, HOURS),
    }


def _sides(case: Case, scenario: vm.Scenario) -> dict[str, Side]:
    pool = draw_actions(case.draw, case.envs, 1)
    learners = [np.ascontiguousarray(actions[:, 0]) for actions in pool]
    env = vm.MarketVectorEnv(case.envs, scenario, learner=0, copy=False, threads=1)
    numba = NumbaBatch(fleet_of(scenario), case.envs, learner=0)
    return {
        ENV: Side(autoreset_day(env.reset, env.step, learners, HOURS), HOURS * case.envs),
        NUMBA: Side(episodes(numba.reset, numba.step, pool, HOURS), HOURS * case.envs),
    }
