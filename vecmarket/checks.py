"""Checks on the numbers and arrays that users hand in: one place, so that every refusal reads alike."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "action_array",
    "check_kind",
    "place_of",
    "real_array",
    "real_number",
    "unfit_state",
    "whole_number",
]

_Real = TypeVar("_Real", np.float32, np.float64)

_REAL_KINDS = "fiub"


def whole_number(name: str, value: Any, *, least: int) -> int:
    """Return a whole number of any kind, NumPy's included, as a plain int.

    Raises
    ------
    TypeError
        When it is no whole number.
    ValueError
        When it is below `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name}: must be at least {least}, got {number}")
    return number


def check_kind(name: str, value: object, kind: type) -> None:
    """Refuse a value that is of another kind.

    Raises
    ------
    TypeError
        When it is no instance of `kind`.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name}: must be a {kind.__name__}, got {type(value).__name__}")


def real_number(name: str, value: Any) -> float:
    """Return a finite real number of any kind, NumPy's included, as a plain float.

    Raises
    ------
    TypeError
        When it is no real number.
    ValueError
        When it is not finite, or too large for a float.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name}: must be a real number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{name}: is too large for a 64-bit float") from None
    if not math.isfinite(number):
        raise ValueError(f"{name}: must be finite, got {value!r}")
    return number


def real_array(name: str, values: ArrayLike, dtype: type[_Real], *, clamp: bool = False) -> NDArray[_Real]:
    """Return real numbers as an aligned, C-contiguous array, without a copy when they are one already.

    Infinities and NaN stay, for the engine to refuse with their place.

    Parameters
    ----------
    name
        What the numbers are, for the messages.
    values
        Anything that NumPy reads as real numbers, any shape.
    dtype
        float32 or float64.
    clamp
        Whether a finite number beyond the range of `dtype` becomes the nearest finite one; it is refused
        otherwise.

    Raises
    ------
    TypeError
        When the values are complex, text or objects.
    ValueError
        When the rows have different lengths, or a finite number is beyond the range of `dtype`.
    """
    if type(values) is np.ndarray and values.dtype == dtype:
        flags = values.flags
        if flags.c_contiguous and flags.aligned:
            return values
    try:
        given: NDArray[Any] = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: not an array: {error}") from error
    if given.dtype.kind not in _REAL_KINDS:
        raise TypeError(f"{name}: must be real numbers, got dtype {given.dtype}")
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(given, dtype=dtype)
    if not converted.flags.aligned:
        converted = converted.copy()
    overflow = np.isinf(converted)
    if overflow.any():
        overflow &= np.isfinite(given).reshape(overflow.shape)
        if not clamp and overflow.any():
            place = place_of(name, overflow.reshape(given.shape))
            value, most = given.ravel()[overflow.ravel()][0], np.finfo(dtype).max
            raise ValueError(f"{place}: must be at most {most} in size, got {value}")
        converted[overflow] = np.copysign(np.finfo(dtype).max, converted[overflow])
    # A scalar comes out of `ascontiguousarray` with one dimension.
    return converted.reshape(given.shape)


def place_of(name: str, marked: NDArray[np.bool_]) -> str:
    """Return the name of the first marked number of an array: ``name[i, j]``."""
    place = ", ".join(map(str, np.argwhere(marked)[0].tolist()))
    return f"{name}[{place}]" if place else name


def action_array(name: str, actions: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return actions as an aligned, C-contiguous float32 array, without a copy when they are one already.

    What is beyond the range of float32 becomes the nearest finite number: it is far outside the action space,
    to which the engine clips.

    Raises
    ------
    TypeError
        When they are not real numbers.
    ValueError
        When their shape is not `shape`.
    """
    array = real_array(name, actions, np.float32, clamp=True)
    if array.shape != shape:
        raise ValueError(f"{name}: must have shape {shape}, got {array.shape}")
    return array


def unfit_state(whose: str, error: Exception) -> ValueError:
    """Return what to raise where a learner or a game cannot go on from a state, for the reason of `error`."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return ValueError(f"state: does not fit this {whose}: {reason}")
