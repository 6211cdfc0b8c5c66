"""What the pytest plugin does once a test asks for its fixture."""
