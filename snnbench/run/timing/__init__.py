"""Wall-clock times, taken in another process.

interleaved   the parent: networks in interleaved rounds
worker        the child: python -m snnbench.run.timing.worker
cuda          running and timing networks on a GPU
"""
