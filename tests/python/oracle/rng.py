"""Keyed randomness: every draw is a pure function of (seed, episode, step, stream).

Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import ndtri  # type: ignore[import-untyped]

from vecmarket.config import Choice, Normal, Number, Uniform

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)

DEMAND_NOISE, TIES, EPISODE_START, PARAMETER = range(4)

Words = tuple[int, int, int, int]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Return the four output words of the ten-round generator."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0 = MULTIPLIERS[0] * c0
        product1 = MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & MASK,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & MASK,
        )
        k0 = (k0 + WEYL[0]) & MASK
        k1 = (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def key_of(seed: int) -> tuple[int, int]:
    return seed & MASK, seed >> 32


def tie_order(words_of_block: list[Words], count: int) -> list[int]:
    """Return one word per agent: agent j has word j % 4 of block j // 4; a smaller word runs first."""
    return [words_of_block[j // 4][j % 4] for j in range(count)]


@dataclass(frozen=True)
class Draws:
    """The draws of one environment in one episode."""

    seed: int
    episode: int

    def words(self, kind: int, index: int = 0, step: int = 0) -> Words:
        counter = (step, kind | (index << 8), self.episode & MASK, self.episode >> 32)
        return philox(counter, key_of(self.seed))

    def uniform(self, kind: int, index: int = 0, step: int = 0) -> float:
        """Return a number strictly between 0 and 1, the middle of one of 2^52 equal parts."""
        w0, w1, _, _ = self.words(kind, index, step)
        bits = ((w0 << 32) | w1) >> 12
        return (bits + 0.5) * 2.0**-52

    def normal(self, kind: int, index: int = 0, step: int = 0) -> float:
        return float(ndtri(self.uniform(kind, index, step)))

    def below(self, n: int, kind: int, index: int = 0) -> int:
        return min(int(self.uniform(kind, index) * n), n - 1)

    def ties(self, step: int, count: int) -> list[int]:
        blocks = [self.words(TIES, block, step) for block in range((count + 3) // 4)]
        return tie_order(blocks, count)

    def number(self, number: Number, slot: int) -> float:
        """Return a scenario number of this episode: itself, or a draw from its distribution."""
        if isinstance(number, Uniform):
            return number.low + self.uniform(PARAMETER, slot) * (number.high - number.low)
        if isinstance(number, Normal):
            drawn = number.mean + number.sd * self.normal(PARAMETER, slot)
            return min(max(drawn, number.low), number.high)
        if isinstance(number, Choice):
            return number.values[self.below(len(number.values), PARAMETER, slot)]
        return float(number)


def ties_of_row(seed: int, row: int, count: int) -> list[int]:
    """Return the tie words of row `row` of ``vm.clear(..., seed=seed)``."""
    blocks = [
        philox((row & MASK, TIES | (block << 8), row >> 32, 0), key_of(seed))
        for block in range((count + 3) // 4)
    ]
    return tie_order(blocks, count)


def largest(number: Number) -> float:
    """Return the upper end of what a scenario number can be."""
    if isinstance(number, Uniform | Normal):
        return number.high
    if isinstance(number, Choice):
        return max(number.values)
    return float(number)
