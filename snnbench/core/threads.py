"""Threads that share one call of compiled kernels, which hold no lock of the interpreter."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="snnbench-kernels")


if hasattr(os, "register_at_fork"):
    # a forked process has none of the threads that its copy of the pool believes in
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run_on_threads(threads: int, task: Callable[[int], None]) -> None:
    """Call ``task`` with 0 .. threads - 1 in parallel, and return when every call has ended."""
    calls: list[Future[None]] = []
    try:
        calls.extend(_pool(threads - 1).submit(task, thread) for thread in range(1, threads))
        task(0)
    finally:  # also after Ctrl-C: the calls read and write memory that the next one reuses
        wait(calls)
    for call in calls:
        call.result()
