"""What callers hand to ``reset`` and ``step``, checked and made plain before anything is changed."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode

from vecmarket.checks import whole_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "as_autoreset_mode",
    "as_mask",
    "as_seeds",
    "as_starts",
    "check_options",
    "no_render_mode",
    "per_market",
]

_MODES = {mode.value.lower(): mode for mode in AutoresetMode}


def as_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """Return gymnasium's enum from itself or from its name in any spelling.

    Raises
    ------
    ValueError
        For anything else; the message lists the legal names.
    """
    if isinstance(mode, AutoresetMode):
        return mode
    plain = "".join(c for c in mode if c.isalpha()).lower() if isinstance(mode, str) else None
    if plain not in _MODES:
        legal = ", ".join(f'"{m.name.lower()}"' for m in AutoresetMode)
        raise ValueError(f"autoreset_mode: must be one of {legal}, got {mode!r}")
    return _MODES[plain]


def no_render_mode(render_mode: str | None) -> None:
    """Refuse every render mode but None: a market has no picture of its own."""
    if render_mode is not None:
        raise ValueError(f"render_mode: must be None, the markets draw nothing; got {render_mode!r}")


def check_options(options: Mapping[str, Any] | None, legal: Sequence[str]) -> Mapping[str, Any]:
    """Return the options of a reset; a misspelt one is refused, since ignoring it would play other episodes.

    Raises
    ------
    ValueError
        When a key is unknown; the message lists the legal ones.
    TypeError
        When the options are no mapping.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise TypeError(f"options: must be a mapping or None, got {type(options).__name__}")
    for key in options:
        if key not in legal:
            raise ValueError(f"options[{key!r}]: unknown; the legal keys are {', '.join(map(repr, legal))}")
    return options


def as_seeds(seed: Any, rows: int) -> int | list[int | None] | None:
    """Return the seed of a batch: None, one integer, or one per row in which None is allowed.

    Raises
    ------
    ValueError
        When a list's length is not `rows`, or a seed is negative.
    TypeError
        When a seed is not an integer.
    """
    if isinstance(seed, np.ndarray) and seed.ndim > 0:
        if seed.ndim != 1:
            raise ValueError(f"seed: must have one dimension, got shape {seed.shape}")
        seed = seed.tolist()
    if seed is None:
        return None
    if not isinstance(seed, list | tuple):
        return whole_number("seed", seed, least=0)
    if len(seed) != rows:
        raise ValueError(f"seed: a list must have num_envs={rows} entries, got {len(seed)}")
    return [None if s is None else whole_number(f"seed[{i}]", s, least=0) for i, s in enumerate(seed)]


def as_mask(mask: Any, rows: int) -> NDArray[np.bool_]:
    """Return ``options["reset_mask"]``.

    Raises
    ------
    TypeError
        When it is not a boolean array.
    ValueError
        When its shape is not (rows,), or no row is chosen.
    """
    name = 'options["reset_mask"]'
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"{name}: must be a numpy array, got {type(mask).__name__}")
    if mask.shape != (rows,):
        raise ValueError(f"{name}: must have shape ({rows},), got {mask.shape}")
    if mask.dtype != np.bool_:
        raise TypeError(f"{name}: must have dtype bool, got {mask.dtype}")
    if not mask.any():
        raise ValueError(f"{name}: must choose at least one environment, all are False")
    return mask


def as_starts(start: Any, rows: int) -> int | NDArray[np.int64]:
    """Return ``options["start"]``, the hour of the series at which episodes start: one, or one per row.

    Raises
    ------
    TypeError
        When it is not made of integers.
    ValueError
        When its shape is not (rows,).
    """
    name = 'options["start"]'
    try:
        return operator.index(start)
    except TypeError:
        pass
    try:
        hours = np.asarray(start)
    except ValueError as error:
        raise ValueError(f"{name}: not an array: {error}") from None
    if hours.dtype.kind not in "iu":
        raise TypeError(f"{name}: must be an integer or one per environment, got {start!r}")
    if hours.shape != (rows,):
        raise ValueError(f"{name}: must be an integer or have shape ({rows},), got shape {hours.shape}")
    return hours.astype(np.int64)


def per_market(name: str, rows: Sequence[Any] | NDArray[Any], agents: int) -> Any:
    """Return every market's common value of something given once per row, where a market has `agents` rows.

    Raises
    ------
    ValueError
        When the rows of one market differ.
    """
    first = rows[::agents]
    grid = np.asarray(rows, dtype=object).reshape(-1, agents)
    differing = np.argwhere(grid != grid[:, :1])
    if len(differing):
        market, agent = differing[0]
        raise ValueError(
            f"{name}: rows {market * agents} to {market * agents + agents - 1} are market {market} and must "
            f"agree, got {grid[market, 0]} and {grid[market, agent]}"
        )
    return first
