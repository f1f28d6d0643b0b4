"""Where every random number of a run comes from.

A run has one seed. Neighbouring seeds must not give overlapping data: a vector environment that is given the
seed s seeds its environment i with s + i, so that runs with the seeds 0 and 1 would share almost all of their
markets. What a run's streams are seeded with are therefore hashes of the run's seed, made by NumPy's
`numpy.random.SeedSequence`. Evaluation has seeds of its own, which no run's seed touches.
"""

from __future__ import annotations

import numpy as np

__all__ = ["STREAMS", "stream_seed"]

STREAMS = {"weights": 0, "actions": 1, "minibatches": 2, "environments": 3}
"""The streams of a run by name, and the key under which each is hashed."""


def stream_seed(seed: int, stream: str, *, restart: int = 0) -> int:
    """Return the seed of one of the run's `STREAMS`, in [0, 2**63).

    A run that goes on with environments that cannot be restored seeds them anew by another `restart`.
    """
    if seed < 0:
        raise ValueError(f"seed: must be at least 0, got {seed}")
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(STREAMS[stream], restart))
    return int(sequence.generate_state(1, np.uint64)[0]) >> 1
