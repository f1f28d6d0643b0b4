"""The command line: ``vecmarket train | evaluate | clear | info``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count it

OPTIONAL = ("torch", "tensorboard", "tyro", "rich", "safetensors", "matplotlib")
"""Packages of the extra ``train``, which a bare installation lacks."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 2 bad input, 130 interrupted.

    Parameters
    ----------
    argv
        The arguments; those of the process when None.
    """
    try:
        # Only here, since the commands need packages that a bare installation lacks.
        from vecmarket.cli.commands import run

        return run(list(sys.argv[1:] if argv is None else argv))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in OPTIONAL:
            raise
        return _refuse(f'this command needs the package {package}: pip install "vecmarket[train]"')
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        return _refuse(reason)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _refuse(reason: str) -> int:
    print("error:", " ".join(reason.split()), file=sys.stderr)
    return BAD_INPUT
