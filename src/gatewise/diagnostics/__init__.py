"""Looking into a network that is trained: gradients through time, gates, what is wrong and what to do about it."""

from gatewise.diagnostics.answers import Gates, GradientFlow
from gatewise.diagnostics.findings import Diagnosis, Finding
from gatewise.diagnostics.horizon import Horizon
from gatewise.diagnostics.report_contents import AttentionMap, ChangeMap, Heading
from gatewise.diagnostics.saturation import Saturation
from gatewise.diagnostics.trace import Trace
from gatewise.diagnostics.watching import watch

__all__ = [
    "AttentionMap",
    "ChangeMap",
    "Diagnosis",
    "Finding",
    "Gates",
    "GradientFlow",
    "Heading",
    "Horizon",
    "Saturation",
    "Trace",
    "watch",
]
