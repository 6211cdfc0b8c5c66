"""Wall-clock times, taken in processes of their own.

interleaved   the parent: networks in interleaved rounds
worker        the child: python -m snnbench.run.timing.worker
cuda          how the child times on a GPU
"""
