"""Energy estimates from named cost tables."""
