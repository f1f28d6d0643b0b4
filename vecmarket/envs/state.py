"""A vector environment's snapshot as bytes: the engine's own, and Gymnasium's random generator."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

__all__ = ["pack", "unpack"]

_MAGIC = b"vecmarket-env-1\n"
_LENGTH = 8


def pack(engine: bytes, np_random: np.random.Generator, np_random_seed: int | None) -> bytes:
    """Join an engine's snapshot and the state of a generator."""
    head = {"np_random": np_random.bit_generator.state, "np_random_seed": np_random_seed}
    # Some bit generators keep arrays in their state.
    text = json.dumps(head, default=lambda array: array.tolist()).encode()
    return b"".join((_MAGIC, len(text).to_bytes(_LENGTH, "little"), text, engine))


def unpack(state: bytes) -> tuple[bytes, np.random.Generator, int | None]:
    """Split what `pack` joined.

    Raises
    ------
    ValueError
        When the bytes are not such a snapshot.
    TypeError
        When they are not bytes.
    """
    if not isinstance(state, bytes):
        raise TypeError(f"state: must be bytes, got {type(state).__name__}")
    if not state.startswith(_MAGIC):
        raise ValueError("state: not a snapshot of a MarketVectorEnv")
    begin = len(_MAGIC) + _LENGTH
    end = begin + int.from_bytes(state[len(_MAGIC) : begin], "little")
    try:
        head: dict[str, Any] = json.loads(state[begin:end])
        bits = getattr(np.random, head["np_random"]["bit_generator"])()
        bits.state = head["np_random"]
        return state[end:], np.random.Generator(bits), head["np_random_seed"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"state: a damaged snapshot: {error}") from error
