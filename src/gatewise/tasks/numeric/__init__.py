"""Sequences of numbers: a label for each, a label for each step, or the next step."""
