"""What remakes baselines and reference reports, and experiments; run from the checkout."""
