"""The fixed randomness of an evaluation: from which seeds its episodes are drawn."""

from __future__ import annotations

import numpy as np

__all__ = ["evaluation_seeds"]

EVALUATION_STREAM = 0x766D6576
"""Sets the seeds of evaluation apart from those of training, whatever the run's seed is."""


def evaluation_seeds(episodes: int, seed: int = 0) -> list[int]:
    """Return one environment seed per evaluation episode, from a stream of its own.

    The same for every training run: they depend on `seed`, the evaluation seed, alone.
    """
    state = np.random.SeedSequence([EVALUATION_STREAM, seed]).generate_state(episodes, np.uint64)
    return [int(s) for s in state >> np.uint64(1)]
