"""Training and evaluation of benchmarks on labelled data."""
