"""Ctrl-C, SIGTERM and a closed terminal, handled only where an interruption does no harm."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Self

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a program to end; Windows has no SIGHUP."""


class StopRequest:
    """Context in which the first signal only sets ``asked``; a second one interrupts at once.

    Ignored signals stay ignored. Outside the main thread no handler can be set, and signals act as
    usual.
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._handlers = ExitStack()

    @property
    def asked(self) -> bool:
        """Whether a signal arrived."""
        return self._asked is not None

    def grant(self) -> None:
        """Send the signal that arrived again; call it after the context has ended."""
        if self._asked is not None:
            signal.raise_signal(self._asked)

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        with ExitStack() as handlers:  # setting a handler may deliver a signal that waits
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before not in (None, signal.SIG_IGN):  # None: a handler that is not Python's
                    handlers.callback(signal.signal, number, before)
                    signal.signal(number, self._ask)
            self._handlers = handlers.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._handlers.close()

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self._asked = number
