"""A replay buffer as a list of rows, in plain Python and NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oracle.rng import MASK, key_of, philox

REPLAY = 8  # kind of the draws


class Row(NamedTuple):
    observation: NDArray[np.float32]
    action: NDArray[np.float32]
    reward: np.float32
    next_observation: NDArray[np.float32]
    terminated: bool
    truncated: bool


class Replay:
    """The last `capacity` rows; `alpha` None samples uniformly."""

    def __init__(self, capacity: int, *, half: bool, alpha: float | None, epsilon: float, seed: int) -> None:
        self.capacity, self.half, self.alpha, self.epsilon = capacity, half, alpha, epsilon
        self.seed = seed
        self.rows: dict[int, Row] = {}
        self.weights: dict[int, float] = {}  # in proportion to the probabilities
        self.added = 0
        self.largest = self.weight(1.0)

    def weight(self, priority: float) -> float:
        return 1.0 if self.alpha is None else (priority + self.epsilon) ** self.alpha

    def add(self, *columns: Any) -> None:
        for observation, action, reward, next_observation, terminated, truncated in zip(
            *columns, strict=True
        ):
            row = Row(
                self.kept(observation),
                action,
                reward,
                self.kept(next_observation),
                bool(terminated),
                bool(truncated),
            )
            self.rows[self.added], self.weights[self.added] = row, self.largest
            self.added += 1
            if len(self.rows) > self.capacity:
                oldest = min(self.rows)
                del self.rows[oldest], self.weights[oldest]

    def kept(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        return observation.astype(np.float16).astype(np.float32) if self.half else observation

    def update(self, indices: Any, priorities: Any) -> int:
        there = 0
        for index, priority in zip(indices, priorities, strict=True):
            weight = self.weight(float(priority))
            if int(index) in self.rows:
                self.weights[int(index)] = weight
                self.largest = max(self.largest, weight)
                there += 1
        return there

    def uniform(self, seed: int, draw: int, place: int) -> float:
        w0, w1, _, _ = philox((place, REPLAY, draw & MASK, draw >> 32), key_of(seed))
        return ((((w0 << 32) | w1) >> 12) + 0.5) * 2.0**-52

    def chosen(self, batch: int, draw: int, seed: int | None = None) -> list[int]:
        """Return the numbers of the rows of a sample."""
        uniforms = [self.uniform(self.seed if seed is None else seed, draw, j) for j in range(batch)]
        oldest = min(self.rows)
        if self.alpha is None:
            return [oldest + int(u * len(self.rows)) for u in uniforms]
        # In the order of the slots that rows take in turn.
        order = sorted(self.rows, key=lambda row: row % self.capacity)
        ends = np.cumsum([self.weights[row] for row in order])
        targets = [(j + u) / batch * ends[-1] for j, u in enumerate(uniforms)]
        return [order[int(np.searchsorted(ends, target, side="right"))] for target in targets]

    def corrections(self, chosen: list[int], beta: float) -> NDArray[np.float64]:
        """Return the importance weights of a sample."""
        probabilities = np.array([self.weights[row] for row in chosen]) / sum(self.weights.values())
        corrections = (len(self.rows) * probabilities) ** -beta
        return np.asarray(corrections / corrections.max())
