"""Where every random number of a run comes from.

A run has one seed. Neighbouring seeds must not give overlapping data: a vector environment that is given the
seed s seeds its environment i with s + i, so that runs with the seeds 0 and 1 would share almost all of their
markets. The seeds of a run's streams are therefore hashes of the run's seed, made by NumPy's
:class:`numpy.random.SeedSequence`, and evaluation has a stream of its own.
"""

from __future__ import annotations

import numpy as np

__all__ = ["STREAMS", "environment_seeds", "stream_seed"]

STREAMS = {"weights": 0, "actions": 1, "minibatches": 2, "environments": 3, "evaluation": 4}
"""The streams of a run by name, and the spawn key under which each is hashed."""


def environment_seeds(seed: int, num_envs: int, *, restart: int = 0) -> list[int]:
    """Return one 63-bit seed for each training environment of the run `seed`.

    A run that goes on with environments that cannot be restored gets others by another `restart`.
    """
    sequence = _sequence(seed, STREAMS["environments"], restart)
    return [int(word >> np.uint64(1)) for word in sequence.generate_state(num_envs, np.uint64)]


def stream_seed(seed: int, stream: str) -> int:
    """Return the 63-bit seed of one of the run's `STREAMS`."""
    return int(_sequence(seed, STREAMS[stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _sequence(seed: int, *key: int) -> np.random.SeedSequence:
    if seed < 0:
        raise ValueError(f"seed: must be at least 0, got {seed}")
    return np.random.SeedSequence(entropy=seed, spawn_key=key)
