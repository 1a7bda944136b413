"""Benchmarks of the layers against the alternatives; run with ``python -m benchmarks``."""
