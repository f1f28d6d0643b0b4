"""The commands and their arguments, parsed by tyro from dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from vecmarket.cli.clearing import Clear, clear_market
from vecmarket.cli.info import Info, show

__all__ = ["run"]

DESCRIPTION = "Electricity markets for reinforcement learning, stepped in batches by a Rust engine."

LIGHT: dict[str, tuple[type, Callable[[Any], int]]] = {"clear": (Clear, clear_market), "info": (Info, show)}
"""Commands that get by without torch, which takes seconds to import and need not be installed."""


def run(argv: list[str]) -> int:
    """Parse the arguments and run the command that they name."""
    commands = dict(LIGHT)
    if not argv or argv[0] not in LIGHT:
        from vecmarket.cli.runs import Evaluate, Train, evaluate_run, train_defaults, train_run

        commands = {"train": (Train, train_run), "evaluate": (Evaluate, evaluate_run), **LIGHT}
    if argv and argv[0] in commands:
        kind, act = commands[argv[0]]
        # A run that goes on has settings of its own, which stand where none are given.
        usual: dict[str, Any] = {"default": train_defaults(argv[1:])} if argv[0] == "train" else {}
        return act(tyro.cli(kind, prog=f"vecmarket {argv[0]}", args=argv[1:], **usual))
    # No command: all that is left to say is the help, or what the commands are.
    arguments = tuple(Annotated[kind, tyro.conf.subcommand(name)] for name, (kind, _) in commands.items())
    any_of_them: Any = Union[arguments]  # noqa: UP007 - an X | Y cannot be made from a tuple
    tyro.cli(any_of_them, prog="vecmarket", description=DESCRIPTION, args=argv)
    raise AssertionError("unreachable: tyro leaves without a command")
