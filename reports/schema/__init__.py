"""JSON Schema of the result file."""
