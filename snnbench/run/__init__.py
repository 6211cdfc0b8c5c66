"""One run: the order of passes, and each pass."""
