"""Plots of a trace with matplotlib."""

from typing import Any

from gatewise.diagnostics.measurements import Measurements
from gatewise.extras import require


def plot_gradient_flow(trace: Measurements, index: int, axes: Any) -> Any:
    """Plot the norm of every state's gradient over time, on a logarithmic scale; return the axes."""
    if axes is None:
        require("drawing the gradient flow", "tasks", "matplotlib")
        from matplotlib.figure import Figure

        axes = Figure(figsize=(8, 4), layout="constrained").subplots()
    flow = trace.gradient_flow(index)
    for key, values in flow.items():
        axes.plot(values.cpu().numpy(), label=key)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("norm of the gradient of the state")
    axes.legend()
    return axes
