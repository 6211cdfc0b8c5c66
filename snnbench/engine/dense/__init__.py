"""Dense networks: the baseline, and steps that events do not make faster."""
