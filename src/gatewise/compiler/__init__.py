"""Compiler: a cell's equations are simplified, differentiated, planned, emitted as C++. Standard library only."""

from gatewise.compiler.differentiate import Gradient, differentiate
from gatewise.compiler.drop_bias import drop_groups, with_single_bias, without_bias
from gatewise.compiler.plan import Plan, plan
from gatewise.compiler.simplify import simplify

__all__ = [
    "Gradient",
    "Plan",
    "differentiate",
    "drop_groups",
    "plan",
    "simplify",
    "with_single_bias",
    "without_bias",
]
