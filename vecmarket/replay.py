"""A replay buffer for off-policy learning: the last transitions, drawn uniformly or by priority."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vecmarket import _core
from vecmarket.checks import real_array, whole_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["ReplayBatch", "ReplayBuffer"]


class ReplayBatch(NamedTuple):
    """Sampled transitions, B rows: NumPy arrays, which `torch.from_numpy` takes without a copy.

    Attributes
    ----------
    observations, next_observations
        (B, obs_dim) float32.
    actions
        (B, action_dim) float32.
    rewards
        (B,) float32.
    terminated, truncated
        (B,) bool.
    indices
        Numbers of the rows, counted from the first that was ever added, (B,) int64: for `update_priorities`.
    weights
        Importance weights in (0, 1], the largest of a sample 1, (B,) float32; all 1 where sampling is
        uniform.
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    next_observations: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    indices: NDArray[np.int64]
    weights: NDArray[np.float32]


class ReplayBuffer(_core.ReplayBuffer):
    """The last `capacity` transitions; all memory is taken when it is made.

    Rows are numbered 0, 1, 2, ... in the order in which they are added; `added` is the number of the next.
    Any number of threads may call any method at any time, without the interpreter lock: readers run side by
    side, a writer alone, and no row is ever read half written.

    Parameters
    ----------
    capacity
        Rows that are kept; a new one takes the place of the oldest.
    obs_dim, action_dim
        Numbers of an observation and of an action.
    storage
        How observations are kept, ``"float32"`` or ``"float16"``: rounded to the nearest IEEE binary16, to
        even in a tie, in half the memory.
    alpha
        None samples uniformly. A number in [0, 1] draws row i with a probability in proportion to
        ``(priority_i + epsilon) ** alpha``, from as many equal parts of the whole as the sample has rows: the
        proportional variant of Schaul et al., "Prioritized experience replay", ICLR 2016. New rows have the
        largest priority that was ever given, at least 1.
    epsilon
        In [1e-12, 1e12]; unused where sampling is uniform.
    seed
        Seed of the draws, an integer in [0, 2**64).

    Raises
    ------
    ValueError, TypeError
        When an argument cannot be used, or the memory is not there; the message names it.
    """

    def add(
        self,
        observations: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        next_observations: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike | None = None,
    ) -> None:
        """Add N transitions, the oldest first; of more than `capacity` the last stay.

        What is a C-contiguous array of the right dtype is not copied on the way.

        Parameters
        ----------
        observations, next_observations
            (N, obs_dim), converted to float32; below 65520 in size where they are kept as float16.
            `next_observations` are those before a reset: Gymnasium's ``infos["final_obs"]`` where an episode
            ended.
        actions
            (N, action_dim), converted to float32.
        rewards
            (N,), converted to float32.
        terminated, truncated
            (N,) bool; None is nowhere.

        Raises
        ------
        ValueError, TypeError
            When an array has another shape or holds what is no finite number of its dtype; nothing is added
            then.
        """
        super().add(
            real_array("observations", observations, np.float32),
            real_array("actions", actions, np.float32),
            real_array("rewards", rewards, np.float32),
            real_array("next_observations", next_observations, np.float32),
            _flags("terminated", terminated),
            None if truncated is None else _flags("truncated", truncated),
        )

    def sample(
        self,
        batch_size: int | None = None,
        *,
        seed: int | None = None,
        draw: int | None = None,
        beta: float = 1.0,
        out: ReplayBatch | None = None,
    ) -> ReplayBatch:
        """Draw transitions, with replacement.

        What is drawn follows from the seed, the number of the draw and what the buffer holds, whatever the
        threads and whatever was drawn before.

        Parameters
        ----------
        batch_size
            Rows to draw, at least 1; can be left out where `out` has room for them.
        seed
            None takes the buffer's.
        draw
            Number of the draw, in [0, 2**64); None takes the buffer's own count, which goes on. Threads that
            share a buffer get the same samples in every run where each numbers its draws, under a seed of
            its own.
        beta
            How much of the bias of priorities the weights take back, in [0, 1]: `(N P(i)) ** -beta`, over
            the largest of the sample. Schaul et al. raise it to 1 in the course of training.
        out
            A batch whose arrays are written again, instead of new ones.

        Returns
        -------
        ReplayBatch
            `out`, or new arrays.

        Raises
        ------
        ValueError, TypeError
            When an argument cannot be used, or an array of `out` does not fit.
        RuntimeError
            When the buffer is empty.
        """
        if batch_size is not None:
            batch_size = whole_number("batch_size", batch_size, least=1)
        if out is None:
            if batch_size is None:
                raise TypeError("batch_size: must be given where out is not")
            out = _empty(batch_size, self.obs_dim, self.action_dim)
        elif batch_size is not None and len(out[0]) != batch_size:
            raise ValueError(f"out: must have room for batch_size {batch_size} rows, got {len(out[0])}")
        self.sample_into(out, seed=seed, draw=draw, beta=beta)
        return out

    def update_priorities(self, indices: ArrayLike, priorities: ArrayLike) -> int:
        """Give rows new priorities, such as the sizes of their temporal-difference errors.

        Rows that others have replaced since they were sampled are passed over. Of a row that is named twice
        the later priority stays.

        Parameters
        ----------
        indices
            Numbers of rows, as in `ReplayBatch.indices`, (B,).
        priorities
            Finite and not negative, (B,), converted to float32.

        Returns
        -------
        int
            How many of the indices were still there.

        Raises
        ------
        ValueError, TypeError
            When a priority or an index cannot be used; nothing is changed then.
        RuntimeError
            When the buffer samples uniformly.
        """
        given = np.asarray(indices)
        if given.dtype.kind not in "iu":
            raise TypeError(f"indices: must be integers, got dtype {given.dtype}")
        rows = np.ascontiguousarray(given, np.int64)
        return super().update_priorities(rows, real_array("priorities", priorities, np.float32))


def _empty(rows: int, obs_dim: int, action_dim: int) -> ReplayBatch:
    return ReplayBatch(
        np.empty((rows, obs_dim), np.float32),
        np.empty((rows, action_dim), np.float32),
        np.empty(rows, np.float32),
        np.empty((rows, obs_dim), np.float32),
        np.empty(rows, np.bool_),
        np.empty(rows, np.bool_),
        np.empty(rows, np.int64),
        np.empty(rows, np.float32),
    )


def _flags(name: str, flags: ArrayLike) -> NDArray[np.bool_]:
    given: NDArray[Any] = np.asarray(flags)
    if given.dtype != np.bool_:
        raise TypeError(f"{name}: must be bool, got dtype {given.dtype}")
    return np.ascontiguousarray(given)
