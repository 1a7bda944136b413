"""Looking into a network that is trained: gradients through time, gates, what is wrong and what to do about it."""

from gatewise.diagnostics.trace import GradientFlow, Trace, watch

__all__ = ["GradientFlow", "Trace", "watch"]
