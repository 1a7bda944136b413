"""Figures that are drawn into files. matplotlib takes a while to import: nothing here does before one is drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from gatewise.writing import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure with its size in inches."""
    # Not pyplot: that would choose a backend for the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG."""
    with atomic_write(path) as file:
        _render(figure, file)


def _render(figure: "Figure", file: BinaryIO) -> None:
    figure.savefig(file, format="png", dpi=120)
