"""Runs a command as on processors with fewer vector instructions than this one has.

``python tools/instruction_sets.py COMMAND ...`` runs it once with AVX2 and once without any, and
``--only NAME`` with one of them. PyTorch, oneDNN, MKL, NumPy, its OpenBLAS and the code that numba
makes then round as they do there; time is not as there.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys

AVX512_IN_NUMPY = ("X86_V4", "AVX512_ICL", "AVX512_SPR")
SETS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_CBWR": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": " ".join(AVX512_IN_NUMPY),
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2",
    },
    "none": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": " ".join(("X86_V3", *AVX512_IN_NUMPY)),
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
    },
}
"""Environment variables by name of a set; libraries read them when they load."""

HONOURED = """
import sys, torch
from snnbench.engine.kernels.vector.formats import HAS_COMPRESS
found = torch.backends.cpu.get_cpu_capability().lower(), HAS_COMPRESS
sys.exit(0 if found == (sys.argv[1], False) else f"instructions of PyTorch and of kernels: {found}")
"""


def run(name: str, command: list[str]) -> int:
    """Exit code of the command with one set, or of a library that takes no notice of it."""
    environment = os.environ | SETS[name]
    asked = SETS[name]["ATEN_CPU_CAPABILITY"]
    checked = subprocess.run([sys.executable, "-c", HONOURED, asked], env=environment, check=False)
    print(f"instruction set {name}: {' '.join(command)}", flush=True)
    return checked.returncode or subprocess.run(command, env=environment, check=False).returncode


def main() -> None:
    """Run the command with each set; fail if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SETS, help="one set of instructions")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if not asked.command:
        parser.error("name a command")
    if platform.machine() not in {"x86_64", "AMD64"}:
        sys.exit(f"these variables are for x86-64; this is {platform.machine()}")
    names = [asked.only] if asked.only else list(SETS)
    sys.exit(max(run(name, asked.command) for name in names))


if __name__ == "__main__":
    main()
