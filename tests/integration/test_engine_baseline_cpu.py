"""The kernels on a processor without AVX-512: code for the oldest one of this architecture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKS = """
import torch
from support.engine_cases import Case, Convolution, check, spikes, weights
from snnbench.engine.kernels.vector.formats import HAS_COMPRESS

assert not HAS_COMPRESS
for dtype in ("float32", "int16"):
    for kernel, stride in (((3, 3), (1, 1)), ((2, 5), (2, 3))):
        conv = Convolution(
            spikes(2, 2, 40, 7, 6), weights(dtype, 37, 40, *kernel), stride, (kernel[0] // 2, 1)
        )
        shape = Case(convs=[conv]).shape
        scale = (spikes(2, 2, *shape, seed=1), torch.full((37,), 0.5))
        check(Case(convs=[conv], scales=[scale]), dtype, threads=2)
print("equal")
"""


def test_kernels_for_a_baseline_processor(tmp_path: Path):
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", CHECKS],
        env=os.environ
        | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "PYTHONPATH": str(tests)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "equal", done.stderr
