"""The fixed randomness of an evaluation: from which seeds its episodes are drawn."""

from __future__ import annotations

import numpy as np

from vecmarket.checks import whole_number

__all__ = ["evaluation_seeds"]

EVALUATION_STREAM = 0x766D6576
"""Sets the seeds of evaluation apart from those of training, whatever the run's seed is."""


def evaluation_seeds(episodes: int, seed: int = 0) -> list[int]:
    """Return one environment seed per evaluation episode, from a stream of its own.

    The same for every training run: they depend on `seed`, the evaluation seed, alone.

    Raises
    ------
    ValueError
        When a number is negative.
    TypeError
        When one is no whole number.
    """
    episodes, seed = whole_number("episodes", episodes, least=0), whole_number("seed", seed, least=0)
    state = np.random.SeedSequence([EVALUATION_STREAM, seed]).generate_state(episodes, np.uint64)
    return [int(s) for s in state >> np.uint64(1)]
