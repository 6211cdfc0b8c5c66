"""What a run measured, as it is stored; never torch."""
