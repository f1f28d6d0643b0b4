"""The native backend beside the torch one: rollouts, whole iterations, and how near the floor they come."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Case, Side, Timings, alternate
from bench.plan import Plan, threads_name
from bench.report import CASE_GENERATORS, Table, rate, times
from bench.training import DRAW, HOURS, MANY, THREADS, market, on_torch_threads, settings, torch_threads_kept

if TYPE_CHECKING:
    from vecmarket.training import NativePPO

KIND, TITLE = "native training", "Training in the core"
ROLLOUT, FLOOR = "rollout", "floor"
HERE = Path(__file__).parent
PARTS = ("products_forward", "products_backward", "forward", "backward", "peak")


def tables(plan: Plan) -> list[Table]:
    """Return the table, without rows where torch is not installed."""
    if find_spec("torch") is None:
        return [Table(TITLE, "Skipped: torch is not installed.", [], [])]
    products = measure_products()
    with torch_threads_kept():
        measured = {Case(DRAW, CASE_GENERATORS, size): _timings(size, plan) for size in plan.training_sizes}
    epochs = settings().epochs
    floor = None if products is None else floor_of(products, epochs)
    figures = {} if floor is None else {case: floor / t.median(native(1)) for case, t in measured.items()}
    rows = [_row(case, timings, count, floor) for case, timings in measured.items() for count in THREADS]
    note = (
        "As in the table before, `PPO.iterate` of torch beside `NativePPO.iterate`, on as many threads of "
        "torch and of the core. The rollout is `NativeCollector`'s: policy, critic, market, and the "
        "trajectory handed out, agent-steps a second. "
    )
    if products is not None and floor is not None:
        note += (
            "The floor is the time of the bare matrix products on one thread, measured right before by "
            f"`cargo bench --bench products`: {products['products_forward']:.0f} ns for a row's forward and "
            f"{products['products_backward']:.0f} ns for its backward products, actor and critic together "
            f"(with all that is no product {products['forward']:.0f} and {products['backward']:.0f} ns). A "
            f"sample goes forward {epochs + 1} times and backward {epochs} times, {floor:.0f} ns; registers "
            f"alone do {products['peak']:.0f} GFLOP/s."
        )
    else:
        note += "The floor was not measured: cargo is not there."
    header = ["N", "threads", "rollout", "native", "share of the floor", "torch", "native beside torch"]
    return [Table(TITLE, note, header, rows, kind=KIND, timings=measured, figures=figures)]


def floor_of(products: dict[str, float], epochs: int) -> float:
    """Return the nanoseconds that an agent-step's matrix products take on one thread."""
    forward, backward = products["products_forward"], products["products_backward"]
    return (epochs + 1) * forward + epochs * backward


def measure_products() -> dict[str, float] | None:
    """Return what `bench/products.rs` prints, by name; None where there is no cargo."""
    if shutil.which("cargo") is None:
        return None
    command = ["cargo", "bench", "--quiet", "--bench", "products"]
    done = subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE, text=True)
    return read_products(done.stdout)


def read_products(text: str) -> dict[str, float]:
    """Read ``name value`` lines; a ValueError names a part that is missing."""
    pairs = [line.split() for line in text.splitlines()]
    found = {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] in PARTS}
    for part in PARTS:
        if part not in found:
            raise ValueError(f"products: no line for {part!r}")
    return found


def native(count: int) -> str:
    """Return the name of the native backend's side on so many threads."""
    return f"native, {threads_name(count)}"


def rollout(count: int) -> str:
    """Return the name of the rollout's side on so many threads."""
    return f"{ROLLOUT}, {threads_name(count)}"


def steps_per_second(side: str) -> Callable[[Timings], float]:
    """Return what reads the agent-steps a second of a side."""
    return lambda timings: 1e9 / timings.median(side)


def _timings(size: int, plan: Plan) -> Timings:
    from vecmarket.training import PPO, NativeCollector

    sides: dict[str, Side] = {}
    for count in THREADS:
        reference = PPO(market(size), settings(), total_steps=MANY)
        learner = _learner(size, count)
        env = market(size, threads=count)
        env.reset(seed=1)
        play = NativeCollector(env, learner.model, HOURS)
        sides[f"torch, {threads_name(count)}"] = Side(
            on_torch_threads(count, reference.iterate), size * HOURS
        )
        sides[native(count)] = Side(learner.iterate, size * HOURS)
        sides[rollout(count)] = Side(play, size * HOURS)
    return alternate(sides, plan.effort)


def _learner(size: int, count: int) -> NativePPO:
    from vecmarket.training import NativePPO

    return NativePPO(market(size, threads=count), settings(), total_steps=MANY, threads=count)


def _row(case: Case, timings: Timings, count: int, floor: float | None) -> list[str]:
    torch = f"torch, {threads_name(count)}"
    share = "—" if floor is None else f"{floor / count / timings.median(native(count)):.0%}"
    return [
        str(case.envs),
        threads_name(count),
        rate(1e9 / timings.median(rollout(count))),
        rate(1e9 / timings.median(native(count))),
        share,
        rate(1e9 / timings.median(torch)),
        times(timings.ratio(torch, native(count))),
    ]
