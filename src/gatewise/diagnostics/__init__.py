"""Diagnostics of recurrent networks in training: gradients through time, gates, findings and advice."""

from gatewise.diagnostics.findings import Diagnosis, Finding
from gatewise.diagnostics.horizon import Horizon
from gatewise.diagnostics.report_contents import AttentionMap, ChangeMap, Heading
from gatewise.diagnostics.saturation import Saturation
from gatewise.diagnostics.time_series import Gates, GradientFlow
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
