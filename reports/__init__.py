"""Templates, style sheet, schema and committed results."""
