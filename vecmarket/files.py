"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["errors_name", "write_atomically"]


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and rename it into place; missing folders on the way are made.

    The new file has the permissions that any new file gets. Whatever ends the writing, a crash of the machine
    included, leaves either the old file or the new one.

    Raises
    ------
    OSError
        When the file cannot be written, which names `path`; what stood there is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with errors_name(path):
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Let the errors of the operating system name the file that is meant.

    A full disk names none, and a failed renaming the file beside.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
