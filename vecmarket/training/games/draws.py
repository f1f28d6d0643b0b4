"""Where the random numbers of a game come from: each is keyed by what it is for, so that no order moves it.

A game has one seed. Every training job and every draw of who updates gets a hash of that seed and of its own
place (round, agent, start), made by NumPy's `numpy.random.SeedSequence`. So a job's result does not depend on
which jobs ran before it or beside it. Mixtures are drawn by the engine, keyed by the environments' seeds.
"""

from __future__ import annotations

import numpy as np

__all__ = ["environment_seeds", "job_seed", "updates"]

# first entries of the spawn keys; `vecmarket.training.seeding` uses 0 to 3
_JOBS, _UPDATES = 16, 17
_FIXED_EPISODES = 0x67616D65


def job_seed(seed: int, round_: int, agent: int, start: int = 0) -> int:
    """Return the seed of one training job, in [0, 2**63)."""
    return _word(seed, _JOBS, round_, agent, start) >> 1


def updates(seed: int, round_: int, agent: int, probability: float) -> bool:
    """Tell whether an agent is asked to update in a round: True with the given probability."""
    return _word(seed, _UPDATES, round_, agent) < probability * 2.0**64


def environment_seeds(episodes: int, use: int) -> tuple[int, ...]:
    """Return one environment seed per fixed episode, the same for every run; each `use` has its own."""
    state = np.random.SeedSequence([_FIXED_EPISODES, use]).generate_state(episodes, np.uint64)
    return tuple(int(word) for word in state >> np.uint64(1))


def _word(seed: int, *key: int) -> int:
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=key)
    return int(sequence.generate_state(1, np.uint64)[0])
