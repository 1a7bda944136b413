"""From a cell's equations to what runs: simplified, differentiated, planned. Standard library alone."""

from gatewise.compiler.simplify import simplify
from gatewise.compiler.without import drop_groups, without_bias

__all__ = ["drop_groups", "simplify", "without_bias"]
