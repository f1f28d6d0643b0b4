"""``vecmarket info``: what is installed here, and the names that settings take."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from vecmarket import _core, scenarios
from vecmarket.config import Scenario
from vecmarket.engine import Engine

__all__ = ["Info", "show"]

LIBRARIES = ("numpy", "gymnasium", "torch")


@dataclass(frozen=True)
class Info:
    """Show the version, the machine as the engine sees it, and the names that settings take."""


def show(_: Info) -> int:
    """Print two tables: this installation, and the legal names."""
    console = Console()
    here = Table(title="this installation", show_header=False)
    here.add_column(no_wrap=True)
    here.add_column(overflow="fold")
    for key, value in _core.build_info().items():
        here.add_row(_words(key), _text(value))
    here.add_row("engine threads", f"{Engine(Scenario.default(), 1).threads} unless told otherwise")
    here.add_row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for library in LIBRARIES:
        here.add_row(library, _installed(library))
    console.print(here)

    names = Table(title="names that settings take")
    names.add_column("setting", no_wrap=True)
    names.add_column("names", overflow="fold")
    names.add_row("scenario", ", ".join(scenarios.NAMES))
    for setting, legal in _core.names().items():
        names.add_row(_words(setting), ", ".join(legal))
    console.print(names)
    return 0


def _installed(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _words(key: str) -> str:
    return key.replace("_", " ")


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
