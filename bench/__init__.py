"""Speed of vecmarket beside its baselines: ``python -m bench`` reproduces every number in ``RESULTS.md``."""
