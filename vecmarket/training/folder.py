"""The folder of a run: where it is made, what it was told to do, and whether other settings agree with it."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

from vecmarket.training.checkpoints import checkpoint_path
from vecmarket.training.config import TrainConfig

__all__ = [
    "CONFIG_FILE",
    "FREE_SETTINGS",
    "POLICY_FILE",
    "SCENARIO_FILE",
    "check_same",
    "check_stays",
    "make_folder",
    "never_began",
    "read_settings",
]

CONFIG_FILE = "config.json"
POLICY_FILE = "policy.safetensors"
SCENARIO_FILE = "scenario.toml"

FREE_SETTINGS = ("out", "name", "checkpoint_every", "progress", "csv", "tensorboard", "engine_threads")
"""Settings of which a run may go on with another value, since none changes what it learns.

`check_stays` looks at the folder.
"""

_Settings = TypeVar("_Settings")


def make_folder(out: Path, name: str, usual: str) -> Path:
    """Make a run's folder in `out`: the named one, which must be free, or the first free one of `usual`."""
    if name:
        run = out / name
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            raise ValueError(f"name: {run} is taken; choose another name, or resume that run")
        run.mkdir(parents=True, exist_ok=True)
        return run
    out.mkdir(parents=True, exist_ok=True)
    for free in itertools.chain([usual], (f"{usual}-{i}" for i in itertools.count(2))):
        try:
            (out / free).mkdir()
        except FileExistsError:
            continue
        return out / free
    raise AssertionError("unreachable")


def read_settings(run: str | os.PathLike[str], read: Callable[[str], _Settings]) -> _Settings:
    """Return what `read` makes of a run's config.json.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file holds no settings; the message names it.
    """
    path = Path(run) / CONFIG_FILE
    try:
        return read(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"no run: {run} has no {CONFIG_FILE}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


def never_began(run: str | os.PathLike[str]) -> bool:
    """Tell whether a folder is that of a run that ended before its first checkpoint: it has only settings."""
    folder = Path(run)
    return (folder / CONFIG_FILE).is_file() and not checkpoint_path(folder).exists()


def check_same(own: object, given: object, free: Collection[str]) -> None:
    """Refuse settings that differ from those of the run to resume, but for the free ones.

    Raises
    ------
    ValueError
        The message names every setting that differs, with both values.
    """
    different = [
        f"{name}: the run to resume has {mine!r}, not {other!r}"
        for name, mine, other in _differences(own, given, "")
        if name not in free
    ]
    if different:
        raise ValueError("; ".join(different))


def check_stays(run: Path, own: TrainConfig, given: TrainConfig) -> None:
    """Refuse a folder for a run that goes on in its own; a name or folder left out is no other.

    Raises
    ------
    ValueError
        When `out` or `name` says another folder than `run`.
    """
    if given.name not in ("", own.name, run.resolve().name):
        raise ValueError(f"name: a run goes on in its own folder, {run}, not under the name {given.name!r}")
    usual = TrainConfig.out
    if given.out not in (usual, own.out) and given.out.resolve() != run.resolve().parent:
        raise ValueError(f"out: a run goes on in its own folder, {run}, not in {str(given.out)!r}")


def _differences(own: Any, given: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield name and both values of the settings that differ, down to those of the algorithm."""
    for field in dataclasses.fields(own):
        mine, other = getattr(own, field.name), getattr(given, field.name)
        if dataclasses.is_dataclass(mine) and dataclasses.is_dataclass(other):
            yield from _differences(mine, other, f"{place}{field.name}.")
        elif mine != other:
            yield f"{place}{field.name}", mine, other
