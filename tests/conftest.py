"""What holds for every test: no clock decides, workers share the cores, Ctrl-C arrives."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Read when PyTorch loads, here and in every process that a test starts. With more threads than
    # cores, OpenMP's threads wait for each other most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background like that, and processes of tests inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# An example may take as long as a busy machine needs. The parent is the profile that hypothesis
# chose itself: with the variable CI set, examples are the same in every run.
settings.register_profile(
    "patient",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")
