"""The version of snnbench; its only home."""

__version__ = "0.1.0"
