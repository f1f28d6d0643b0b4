"""The scenarios that ship, by name, and the loaders of any other: tables (CSV) and TOML files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecmarket.scenarios import builtin, ieee_rts

if TYPE_CHECKING:
    from collections.abc import Callable

    from vecmarket.config import Scenario

__all__ = ["NAMES", "by_name"]

_BUILDERS: dict[str, Callable[..., Scenario]] = {
    "default": builtin.default,
    "competitive": builtin.competitive,
    "ieee-rts": ieee_rts.ieee_rts,
}

NAMES: tuple[str, ...] = tuple(_BUILDERS)
"""Names of the scenarios that ship."""


def by_name(name: str, **options: Any) -> Scenario:
    """Return a scenario that ships.

    Parameters
    ----------
    name
        One of `NAMES`; capitals and underscores do not matter (``"ieee_rts"``).
    **options
        Options of the scenario's own function, such as ``n_generators`` or ``peak_mw``.

    Raises
    ------
    ValueError
        When no scenario has that name, or an option's value cannot be used.
    TypeError
        When the scenario has no such option.
    """
    builder = _BUILDERS.get(str(name).lower().replace("_", "-"))
    if builder is None:
        raise ValueError(f"scenario: unknown name {name!r}; the names are {', '.join(NAMES)}")
    return builder(**options)
