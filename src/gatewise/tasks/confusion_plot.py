"""Plotting a confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from gatewise.tasks.heat_map import plot_heat_map


def plot_confusion(counts: Tensor, names: Sequence[str], path: Path) -> None:
    """Plot the counts; shades are shares of the true label.

    Args:
        counts: (K, K), true by predicted labels.
        names: the K labels.
        path: the PNG file to write.
    """
    shares = counts.double() / counts.sum(1, keepdim=True).clamp(min=1)
    plot_heat_map(shares, names, names, path, titles=("truth", "answer"), numbers=counts)
