"""What holds for every test: nothing depends on the clock, and workers share the cores."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Read when PyTorch loads, here and in every process that a test starts. With more threads than
    # cores, OpenMP's threads wait for each other most of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# An example may take as long as a busy machine needs. The parent is the profile that hypothesis
# chose itself: with the variable CI set, examples are the same in every run.
settings.register_profile(
    "patient",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")
