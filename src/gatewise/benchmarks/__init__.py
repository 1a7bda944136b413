"""Timing the layers beside what a user could run instead; see `gatewise.benchmarks.running.bench`."""
