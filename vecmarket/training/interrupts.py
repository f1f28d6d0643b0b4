"""Ctrl-C is heard between two iterations, where a run can be stored as it stands."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

__all__ = ["HeldInterrupt"]


class HeldInterrupt:
    """A context in which the first Ctrl-C is only noted; the second raises `KeyboardInterrupt`, as ever.

    So nobody has to keep a copy of the last whole iteration. Nothing is held outside the main thread, to
    which Python gives no signals, and where Ctrl-C has another meaning than Python's own.

    Attributes
    ----------
    heard
        Whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.heard = False
        self._holds = False

    def __enter__(self) -> HeldInterrupt:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._hear)
            self._holds = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._holds:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._holds = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
