"""Cost tables, one TOML file each, with their sources."""
