"""Child processes that can be interrupted, even where the test run itself cannot."""

from __future__ import annotations

import signal


def listen_to_ctrl_c() -> None:
    """``preexec_fn``: a run in the background of a shell ignores SIGINT and passes that on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
