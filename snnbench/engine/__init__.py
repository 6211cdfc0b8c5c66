"""Event-driven inference: a network compiled to few typed steps, its spikes kept as bit masks."""
