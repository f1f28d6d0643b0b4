"""Ctrl-C while iterations run: noted once, heard at once the second time."""

from __future__ import annotations

import signal
import threading

import pytest

from vecmarket.training.interrupts import HeldInterrupt


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_is_noted_and_the_second_raises() -> None:
    with pytest.raises(KeyboardInterrupt), HeldInterrupt() as interrupt:  # noqa: PT012
        assert not interrupt.heard
        press()
        assert interrupt.heard
        press()
        pytest.fail("goes on")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_afterwards_it_is_what_it_was() -> None:
    with HeldInterrupt() as interrupt:
        pass
    with pytest.raises(KeyboardInterrupt):
        press()
    assert not interrupt.heard


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda number, frame: None])
def test_another_meaning_is_left_alone(own) -> None:
    before = signal.signal(signal.SIGINT, own)
    try:
        with HeldInterrupt() as interrupt:
            assert signal.getsignal(signal.SIGINT) is own
            press()
        assert not interrupt.heard
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_hold_nothing() -> None:
    seen = []

    def run() -> None:
        with HeldInterrupt():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
