"""Scenarios as TOML files: what `Scenario.load` reads and `Scenario.save` writes.

A file has the fields of `Scenario` as its keys, and of `Demand`, `MarketRules`, `Bidding` and `Reward` as its
tables; ``generators`` is a list of tables. Fields that are left out keep their defaults. Where a field may be
drawn, a table stands for the distribution::

    base = "ieee-rts"                # a scenario that ships; the rest of the file changes it
    horizon = 48

    [demand]
    factor = { uniform = [0.9, 1.1] }

    [rules]
    price_cap = { choice = [200, 1000] }

    [bidding]
    max_bid_delta = { normal = { mean = 50, sd = 10, low = 20, high = 80 } }

With a ``base``, a table changes the keys that it names, and ``generators`` replaces the fleet. A file that
`save` writes states every field, so that it keeps its meaning when a default changes.
"""

from __future__ import annotations

import dataclasses
import numbers
import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import tomli_w

from vecmarket.config import (
    Bidding,
    Choice,
    Demand,
    Generator,
    MarketRules,
    Normal,
    Number,
    Reward,
    Scenario,
    Uniform,
)
from vecmarket.files import write_atomically

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["load", "parse", "save"]

_TABLES: dict[str, type] = {"demand": Demand, "rules": MarketRules, "bidding": Bidding, "reward": Reward}


def load(path: str | PathLike[str]) -> Scenario:
    """Read a scenario from a TOML file.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is no TOML (the message names the file and the line), a key is unknown or missing (the legal
        ones are listed), or a value cannot be used.
    """
    path = Path(path)
    values = parse(path.read_bytes(), str(path))
    base = None
    if "base" in values:
        base = _base(values.pop("base"), str(path))
    for key, cls in _TABLES.items():
        if key in values:
            values[key] = _build(cls, values[key], f"{path}: {key}", base and getattr(base, key))
    if "generators" in values:
        values["generators"] = _fleet(values["generators"], f"{path}: generators")
    scenario: Scenario = _build(Scenario, values, str(path), base)
    return scenario


def save(scenario: Scenario, path: str | PathLike[str]) -> None:
    """Write a scenario as a TOML file that `load` reads back as an equal scenario.

    Raises
    ------
    OSError
        When the file cannot be written; what stood at `path` is still there.
    """
    write_atomically(Path(path), tomli_w.dumps(_plain(scenario)).encode())


def parse(content: bytes, source: str) -> dict[str, Any]:
    """Return the values of a TOML file's content; bad TOML is an error that names `source` and the line."""
    try:
        values: dict[str, Any] = tomllib.loads(content.decode("utf-8-sig"))
    # Plain ValueErrors, such as one for an integer of too many digits, and deep nesting among them.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: {error}") from None
    return values


def _base(name: Any, source: str) -> Scenario:
    from vecmarket.scenarios import by_name  # it imports this module

    try:
        return by_name(name)
    except ValueError as error:
        raise ValueError(f"{source}: base: {error}") from None


def _fleet(values: Any, where: str) -> tuple[Generator, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{where}: must be a list of tables, got {values!r}")
    return tuple(_build(Generator, value, f"{where}[{i}]") for i, value in enumerate(values))


def _build(cls: type[Any], values: Any, where: str, base: Any = None) -> Any:
    """Make one configuration object from a table, or change the keys it names in `base`."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: must be a table, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    legal = [*fields, "base"] if cls is Scenario else [*fields]
    for key in values:
        if key not in fields:
            raise ValueError(f"{where}: unknown key {key!r}; the legal ones are {', '.join(legal)}")
    needed = (name for name, field in fields.items() if _is_required(field))
    missing = [name for name in needed if name not in values and base is None]
    if missing:
        raise ValueError(f"{where}: missing {', '.join(missing)}")
    given = {
        key: (_terms if key == "terms" else _value)(value, f"{where}.{key}") for key, value in values.items()
    }
    try:
        return cls(**given) if base is None else dataclasses.replace(base, **given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(value: Any, where: str) -> Any:
    """Return a field's value, where a table stands for a distribution."""
    return _distribution(value, where) if isinstance(value, Mapping) else value


def _terms(weights: Any, where: str) -> dict[str, Any]:
    """Return the weights of the reward's terms."""
    if not isinstance(weights, Mapping):
        raise ValueError(f"{where}: must be a table, got {weights!r}")
    return {term: _value(weight, f"{where}.{term}") for term, weight in weights.items()}


def _distribution(value: Mapping[str, Any], where: str) -> Number:
    match list(value.items()):
        case [("uniform", [low, high])]:
            return Uniform(low, high)
        case [("normal", {"mean": mean, "sd": sd, "low": low, "high": high, **more})] if not more:
            return Normal(mean, sd, low, high)
        case [("choice", [*values])]:
            return Choice(tuple(values))
    raise ValueError(
        f"{where}: unknown distribution {value!r}; write {{ uniform = [low, high] }}, "
        "{ normal = { mean =, sd =, low =, high = } } or { choice = [value, ...] }"
    )


def _plain(value: Any) -> Any:
    """Return a configuration object as TOML's own types; None and whatever means "nothing" are left out."""
    match value:
        case Uniform():
            return {"uniform": [_plain(value.low), _plain(value.high)]}
        case Normal():
            return {
                "normal": {
                    field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
                }
            }
        case Choice():
            return {"choice": [_plain(v) for v in value.values]}
        case str() | bool():
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
        case Mapping():
            return {key: _plain(v) for key, v in value.items()}
        case tuple() | list():
            return [_plain(v) for v in value]
    named = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {name: _plain(v) for name, v in named if not _says_nothing(name, v)}


def _says_nothing(name: str, value: Any) -> bool:
    """Tell whether leaving a field out says the same: no bound, no terms, a unit that is always available."""
    return value is None or (name == "terms" and not value) or (name == "availability" and value == 1.0)
