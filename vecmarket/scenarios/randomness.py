"""Whether a scenario draws anything, so that the same window can be played twice and differ."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from vecmarket.config import Choice, Normal, Uniform

if TYPE_CHECKING:
    from vecmarket.config import Scenario

__all__ = ["draws_anything"]


def draws_anything(scenario: Scenario) -> bool:
    """Tell whether two episodes from one hour can differ: noise, a distribution, ties broken at random."""
    return scenario.demand.noise != 0 or scenario.rules.tie_break == "random" or _has_distribution(scenario)


def _has_distribution(value: Any) -> bool:
    if isinstance(value, Uniform | Normal | Choice):
        return True
    if dataclasses.is_dataclass(value):
        return any(_has_distribution(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, dict):
        return any(_has_distribution(v) for v in value.values())
    # A fleet is a tuple of generators; a series is a tuple of plain numbers, told by its first entry.
    return (
        isinstance(value, tuple)
        and bool(value)
        and dataclasses.is_dataclass(value[0])
        and any(_has_distribution(v) for v in value)
    )
