"""A vector environment's snapshot as bytes: the engine's own, and Gymnasium's random generator."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

__all__ = ["pack", "unpack"]

_MAGIC = b"vecmarket-env-2\n"
_DIGEST, _LENGTH = 16, 8  # bytes


def pack(engine: bytes, np_random: np.random.Generator, np_random_seed: int | None) -> bytes:
    """Join an engine's snapshot and the state of a generator."""
    head = {"np_random": np_random.bit_generator.state, "np_random_seed": np_random_seed}
    # Some bit generators keep arrays in their state.
    text = json.dumps(head, default=lambda array: array.tolist()).encode()
    body = b"".join((len(text).to_bytes(_LENGTH, "little"), text, engine))
    return b"".join((_MAGIC, _digest(body), body))


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
    start = len(_MAGIC) + _DIGEST
    digest, body = state[len(_MAGIC) : start], state[start:]
    if digest != _digest(body):
        raise ValueError("state: a damaged snapshot: its checksum does not fit")
    end = _LENGTH + int.from_bytes(body[:_LENGTH], "little")
    try:
        head: dict[str, Any] = json.loads(body[_LENGTH:end])
        np_random, seed = _generator(head["np_random"]), head["np_random_seed"]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"state: a damaged snapshot: {error}") from error
    if not (seed is None or type(seed) is int):
        raise ValueError(f"state: a damaged snapshot: np_random_seed is {seed!r}")
    return body[end:], np_random, seed


def _generator(state: dict[str, Any]) -> np.random.Generator:
    kind = getattr(np.random, state["bit_generator"], None)
    if not (isinstance(kind, type) and issubclass(kind, np.random.BitGenerator)):
        raise ValueError(f"unknown bit generator {state['bit_generator']!r}")
    bits = kind()
    bits.state = state
    return np.random.Generator(bits)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()
