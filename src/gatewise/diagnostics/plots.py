"""Pictures of a trace with matplotlib."""

from typing import Any

from gatewise.diagnostics.measurements import Measurements
from gatewise.extras import require


def plot_gradient_flow(trace: Measurements, at: int, axes: Any) -> Any:
    """Draw the norm of every state's gradient over time, logarithmic, on axes or on new ones; return them."""
    if axes is None:
        require("drawing the gradient flow", "tasks", "matplotlib")
        from matplotlib.figure import Figure

        axes = Figure(figsize=(8, 4), layout="constrained").subplots()
    flow = trace.gradient_flow(at)
    for key, values in flow.items():
        axes.plot(values.cpu().numpy(), label=key)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("norm of the gradient of the state")
    axes.legend()
    return axes
