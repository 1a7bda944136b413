"""Looking into a network that is trained: gradients through time, gates, what is wrong and what to do about it."""

from gatewise.diagnostics.answers import Gates, GradientFlow
from gatewise.diagnostics.findings import Diagnosis, Finding
from gatewise.diagnostics.horizon import Horizon
from gatewise.diagnostics.saturation import Saturation
from gatewise.diagnostics.trace import Trace
from gatewise.diagnostics.watching import watch

__all__ = ["Diagnosis", "Finding", "Gates", "GradientFlow", "Horizon", "Saturation", "Trace", "watch"]
