"""The replay buffers that `bench.replay` compares: how each is made, filled and sampled.

Those of others are imported when they are made, and through `import_module`, so that none of them is needed.
Every sample ends as torch tensors of float32, as a learner on torch wants them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import vecmarket as vm

CAPACITY = 1 << 20
OBS, ACT = 7, 2
ALPHA, BETA = 0.6, 0.4


class Rows(NamedTuple):
    """Transitions to add, n rows."""

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    next_observations: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


def draw_rows(rows: int) -> Rows:
    """Return random transitions."""
    rng = np.random.default_rng(4)
    return Rows(
        rng.standard_normal((rows, OBS), np.float32),
        rng.standard_normal((rows, ACT), np.float32),
        rng.standard_normal(rows, np.float32),
        rng.standard_normal((rows, OBS), np.float32),
        rng.random(rows) < 0.04,
        rng.random(rows) < 0.04,
    )


class Store(NamedTuple):
    """One buffer and its calls, for batches of n rows each."""

    insert: Callable[[], object]
    sample: Callable[[], object]
    update: Callable[[], object] | None  # new priorities for the rows of one sample


@dataclass(frozen=True)
class Kind:
    """One way of keeping transitions."""

    name: str
    make: Callable[[int], Store]
    prioritised: bool
    half: bool = False
    needs: str = "torch"
    install: str = ""
    calls: tuple[str, ...] = ("insert", "sample", "update")

    @property
    def hint(self) -> str:
        """The command that installs it."""
        return f"pip install {self.install or self.needs}"


def ours(rows: int, *, prioritised: bool, half: bool, fresh: bool = True) -> Store:
    """Return this package's buffer."""
    from_numpy = import_module("torch").from_numpy
    buffer = vm.ReplayBuffer(
        CAPACITY, OBS, ACT, storage="float16" if half else "float32", alpha=ALPHA if prioritised else None
    )
    given = draw_rows(rows)
    buffer.add(*given)
    out = buffer.sample(rows)
    priorities = np.abs(given.rewards)

    def sample() -> object:
        batch = buffer.sample(rows, beta=BETA, out=None if fresh else out)
        return [from_numpy(array) for array in batch]

    def update() -> object:
        return buffer.update_priorities(buffer.sample(rows, out=out).indices, priorities)

    return Store(lambda: buffer.add(*given), sample, update if prioritised else None)


def stable_baselines(rows: int, *, timeouts: bool) -> Store:
    """Return the ReplayBuffer of Stable-Baselines3, of as many environments as a batch has rows."""
    buffers, spaces = import_module("stable_baselines3.common.buffers"), import_module("gymnasium.spaces")
    buffer = buffers.ReplayBuffer(
        CAPACITY,
        spaces.Box(-np.inf, np.inf, (OBS,)),
        spaces.Box(-np.inf, np.inf, (ACT,)),
        device="cpu",
        n_envs=rows,
        handle_timeout_termination=timeouts,
    )
    given = draw_rows(rows)
    infos: list[dict[str, Any]] = [{"TimeLimit.truncated": bool(cut)} for cut in given.truncated]
    columns = given.observations, given.next_observations, given.actions, given.rewards, given.terminated
    return Store(lambda: buffer.add(*columns, infos), lambda: buffer.sample(rows), None)


def torchrl(rows: int, *, prioritised: bool, half: bool) -> Store:
    """Return TorchRL's TensorDictReplayBuffer over a LazyTensorStorage."""
    torch, data = import_module("torch"), import_module("torchrl.data")
    tensordict = import_module("tensordict")
    storage = data.LazyTensorStorage(CAPACITY)
    if prioritised:
        sampler = data.PrioritizedSampler(CAPACITY, ALPHA, BETA)
    else:
        sampler = import_module("torchrl.data.replay_buffers.samplers").RandomSampler()
    buffer = data.TensorDictReplayBuffer(storage=storage, sampler=sampler, batch_size=rows)
    columns = {name: torch.from_numpy(array) for name, array in draw_rows(rows)._asdict().items()}
    priorities = columns["rewards"].abs() + 1e-6
    wide = ("observations", "next_observations")

    def insert() -> object:
        # What it keeps in 16 bits it is given so.
        kept = columns | {name: columns[name].half() for name in wide} if half else columns
        return buffer.extend(tensordict.TensorDict(kept, [rows]))

    def sample() -> object:
        batch = buffer.sample()
        return [batch[name].float() for name in wide] if half else batch

    def update() -> object:
        return buffer.update_priority(buffer.sample()["index"], priorities)

    return Store(insert, sample, update if prioritised else None)


def _ours(prioritised: bool, half: bool, fresh: bool = True) -> Callable[[int], Store]:
    return lambda rows: ours(rows, prioritised=prioritised, half=half, fresh=fresh)


def _torchrl(prioritised: bool, half: bool) -> Kind:
    make: Callable[[int], Store] = lambda rows: torchrl(rows, prioritised=prioritised, half=half)  # noqa: E731
    return Kind("TorchRL TensorDictReplayBuffer", make, prioritised, half, "torchrl")


OURS = "vecmarket ReplayBuffer"
KINDS: tuple[Kind, ...] = (
    Kind(OURS, _ours(False, False), False),
    Kind(f"{OURS}, out=", _ours(False, False, fresh=False), False, calls=("sample",)),
    Kind(
        "Stable-Baselines3 ReplayBuffer",
        lambda rows: stable_baselines(rows, timeouts=True),
        False,
        needs="stable_baselines3",
        install="stable-baselines3",
    ),
    Kind(
        "Stable-Baselines3 ReplayBuffer, no timeouts",
        lambda rows: stable_baselines(rows, timeouts=False),
        False,
        needs="stable_baselines3",
        install="stable-baselines3",
    ),
    _torchrl(False, False),
    Kind(OURS, _ours(True, False), True),
    _torchrl(True, False),
    Kind(OURS, _ours(False, True), False, True),
    _torchrl(False, True),
    Kind(OURS, _ours(True, True), True, True),
    _torchrl(True, True),
)
