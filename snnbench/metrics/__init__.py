"""What follows from a result: the metrics, and tables for machines; never torch."""
