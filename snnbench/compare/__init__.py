"""Two results against each other: comparable or not, what moved, and which gate fails."""
