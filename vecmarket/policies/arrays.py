"""The arrays that a policy is made of, checked and frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vecmarket.checks import place_of, real_array, whole_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["check", "frozen", "keys", "layers", "vector"]


def layers(weights: Any, biases: Any) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the layers as read-only copies that fit one another."""
    for name, given in (("weights", weights), ("biases", biases)):
        if isinstance(given, str | bytes) or not isinstance(given, Sequence | np.ndarray):
            raise TypeError(f"{name}: must be a sequence of arrays, got {type(given).__name__}")
    if len(weights) == 0 or len(weights) != len(biases):
        raise ValueError(
            f"weights, biases: must have one entry per layer, got {len(weights)} and {len(biases)}"
        )
    found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        rows = frozen(f"weights[{i}]", weight)
        if rows.ndim != 2 or 0 in rows.shape:
            raise ValueError(f"weights[{i}]: must have shape (out, in), got {rows.shape}")
        if found and rows.shape[1] != found[-1][0].shape[0]:
            before = found[-1][0].shape[0]
            raise ValueError(
                f"weights[{i}]: must have {before} columns, the width before, got {rows.shape[1]}"
            )
        start = frozen(f"biases[{i}]", bias)
        if start.shape != rows.shape[:1]:
            raise ValueError(f"biases[{i}]: must have shape {rows.shape[:1]}, got {start.shape}")
        found.append((rows, start))
    return found


def vector(
    name: str, values: ArrayLike | None, default: NDArray[Any], *, infinite: bool = False
) -> NDArray[np.float32]:
    """Return a read-only copy that has the shape of the default, which is taken where nothing is given."""
    given = frozen(name, default if values is None else values, infinite=infinite)
    if given.shape != default.shape:
        raise ValueError(f"{name}: must have shape {default.shape}, got {given.shape}")
    return given


def frozen(name: str, values: ArrayLike, *, infinite: bool = False) -> NDArray[np.float32]:
    """Return a read-only copy of finite numbers, or of numbers that may be infinite."""
    array: NDArray[np.float32] = real_array(name, values, np.float32).copy()
    check(name, array, *((~np.isnan(array), "a number") if infinite else (np.isfinite(array), "finite")))
    array.flags.writeable = False
    return array


def check(name: str, array: NDArray[np.float32], good: NDArray[np.bool_], what: str) -> None:
    """Name the first number that is not good, and its place."""
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        raise ValueError(f"{place_of(name, ~good)}: must be {what}, got {array[place]}")


def keys(name: str, values: Any, rows: int, dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """Return one key per row."""
    most = int(np.iinfo(dtype).max)
    if np.ndim(values) == 0:
        number = whole_number(name, values, least=0)
        if number > most:
            raise ValueError(f"{name}: must be at most {most}, got {number}")
        return np.full(rows, number, dtype)
    given = np.asarray(values)
    if given.dtype.kind not in "iu":
        raise TypeError(f"{name}: must be an integer or one per row, got dtype {given.dtype}")
    if given.shape != (rows,):
        raise ValueError(f"{name}: must have shape ({rows},), got {given.shape}")
    for i in np.flatnonzero((given < 0) | (given > most))[:1]:
        raise ValueError(f"{name}[{i}]: must be in 0..{most}, got {given[i]}")
    return given.astype(dtype)
