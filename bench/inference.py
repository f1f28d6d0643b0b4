"""Policies: a row of observations to an action, and a step in which the engine plays rivals with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vecmarket as vm
from bench.measure import Case, Side, Timings, alternate, autoreset_day
from bench.plan import Plan, cores, draw_actions, threads_name
from bench.report import CASE_DRAW, CASE_GENERATORS, Table, nanoseconds, times

HOURS = 24
KIND, STEPS = "inference", "rivals"
HIDDEN = (64, 64)
RIVALS = CASE_GENERATORS - 1
POOL = 8  # members
ROW, TRUTHFUL, POLICY, SAMPLED, MIXED = "row", "truthful", "policy", "sampled", "pool"
CALLED, NUMPY, TORCH = "called", "numpy", "torch"

Forward = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def tables(plan: Plan) -> list[Table]:
    """Return the tables of inference and of rivals."""
    with _one_thread_of_torch():
        return [_inference(plan), _rivals(plan)]


def policy_of(features: int, seed: int = 0) -> vm.MlpPolicy:
    """Return a policy with drawn weights, of the size that the trainer begins with."""
    rng = np.random.default_rng(seed)
    widths = list(pairwise((features, *HIDDEN, 2)))
    weights = [rng.normal(0.0, 1.0 / np.sqrt(columns), (rows, columns)) for columns, rows in widths]
    return vm.MlpPolicy(weights, [np.zeros(rows) for _, rows in widths], log_std=[-1.0, -1.0])


def _inference(plan: Plan) -> Table:
    threads = threads_name(cores())
    measured: dict[Case, Timings] = {}
    rows = []
    for size in plan.inference_sizes:
        timings = alternate(_forwards(size), plan.effort)
        measured[Case(CASE_DRAW, CASE_GENERATORS, size)] = timings
        costs = [_cost(timings, name) for name in (ROW, threads, NUMPY, TORCH)]
        ratios = [_ratio(timings, name, ROW) for name in (NUMPY, TORCH)]
        rows.append([str(size), *costs, *ratios])
    header = ["N", "MlpPolicy, 1 thread, ns", f"MlpPolicy, {threads}, ns", "NumPy, ns", "torch, 1 thread, ns"]
    header += ["NumPy / MlpPolicy", "torch / MlpPolicy"]
    shape = "-".join(map(str, policy_of(7).widths))
    note = (
        f"Cost of one row of a Gaussian policy's mean, {shape} with tanh, clipped, for N rows in one call of "
        "Python. NumPy and torch (`inference_mode`) compute the same in single precision; NumPy's products "
        "may take all cores."
    )
    return Table("Inference", note, header, rows, kind=KIND, timings=measured)


def _forwards(size: int) -> dict[str, Side]:
    policy = policy_of(7)
    seen = np.random.default_rng(1).normal(size=(size, policy.num_features)).astype(np.float32)
    forwards: dict[str, Forward] = {
        ROW: partial(policy, threads=1),
        threads_name(cores()): partial(policy, threads=cores()),
        NUMPY: numpy_forward(policy),
    }
    if find_spec("torch") is not None:
        forwards[TORCH] = torch_forward(policy)
    return {name: Side(partial(forward, seen), size) for name, forward in forwards.items()}


def _rivals(plan: Plan) -> Table:
    names = (TRUTHFUL, POLICY, SAMPLED, MIXED, CALLED, TORCH)
    measured: dict[Case, Timings] = {}
    rows = []
    for size in (size for size in plan.inference_sizes if size > 1):
        timings = alternate(_steps(size), plan.effort)
        measured[Case(CASE_DRAW, CASE_GENERATORS, size)] = timings
        costs = [_cost(timings, name) for name in names]
        rows.append(
            [
                str(size),
                *costs,
                _ratio(timings, POLICY, ROW),
                *(_ratio(timings, n, POLICY) for n in names[4:]),
            ]
        )
    header = ["N", "truthful, ns", "MlpPolicy, ns", "sampled, ns", f"pool of {POOL}, ns"]
    header += ["called from Python, ns", "torch, ns"]
    header += ["MlpPolicy / one row", "called / MlpPolicy", "torch / MlpPolicy"]
    note = (
        f"Cost of one environment step of `MarketVectorEnv`, one learner among {RIVALS} rivals of the same "
        "kind, one thread, copy=False, whole days with their resets. The rivals' network is that of the "
        "table above, whose row at this N was timed in the same turns. Called from Python: the same policy "
        "as a callable, once per rival and step; torch: so, computed by torch."
    )
    return Table("Rivals", note, header, rows, kind=STEPS, timings=measured)


def _steps(size: int) -> dict[str, Side]:
    policy = policy_of(7)
    rivals: dict[str, Any] = {
        TRUTHFUL: None,
        POLICY: policy,
        SAMPLED: policy.stochastic(),
        MIXED: vm.PolicyPool([policy_of(7, seed) for seed in range(POOL)]),
        CALLED: partial(policy, threads=1),
    }
    if find_spec("torch") is not None:
        rivals[TORCH] = torch_forward(policy)
    pool = [np.ascontiguousarray(a[:, 0]) for a in draw_actions(CASE_DRAW, size, CASE_GENERATORS)]
    sides = {}
    for name, rival in rivals.items():
        env = vm.MarketVectorEnv(size, "default", rivals=rival, copy=False, threads=1)
        sides[name] = Side(autoreset_day(env.reset, env.step, pool, HOURS), HOURS * size)
    seen = env.observations.copy()
    sides[ROW] = Side(partial(policy, seen, threads=1), size)
    return sides


def numpy_forward(policy: vm.MlpPolicy) -> Forward:
    """Return the policy's mean, clipped, in NumPy."""

    def forward(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        x: NDArray[np.float32] = (seen - policy.centre) / policy.scale
        for weight, bias in zip(policy.weights[:-1], policy.biases[:-1], strict=True):
            x = np.tanh(x @ weight.T + bias)
        x = x @ policy.weights[-1].T + policy.biases[-1]
        return np.clip(x, policy.low, policy.high)

    return forward


def torch_forward(policy: vm.MlpPolicy) -> Forward:
    """Return the policy's mean, clipped, in torch."""
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for weight, bias in zip(policy.weights, policy.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
        layers += [linear, nn.Tanh()]
    network = nn.Sequential(*layers[:-1])
    centre, scale = torch.tensor(policy.centre), torch.tensor(policy.scale)
    low, high = torch.tensor(policy.low), torch.tensor(policy.high)

    def forward(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            mean = network((torch.from_numpy(seen) - centre) / scale)
            actions: NDArray[np.float32] = torch.clamp(mean, low, high).numpy()
        return actions

    return forward


@contextmanager
def _one_thread_of_torch() -> Iterator[None]:
    if find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cost(timings: Timings, name: str) -> str:
    return nanoseconds(timings.median(name)) if name in timings.nanoseconds else "—"


def _ratio(timings: Timings, slow: str, fast: str) -> str:
    return times(timings.ratio(slow, fast)) if slow in timings.nanoseconds else "—"
