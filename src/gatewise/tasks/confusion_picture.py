"""A confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from gatewise.data.files import atomic_write

_MOST_NUMBERS = 30


def plot_confusion(counts: Tensor, names: Sequence[str], path: Path) -> None:
    """Draw how often what was taken for what; shades are shares of the true label.

    Args:
        counts: (K, K), true labels by answers.
        names: the K labels.
        path: the PNG file to write.
    """
    # Not pyplot: that would choose a backend for the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = min(40.0, max(4.0, 0.45 * len(names) + 2))
    figure = Figure(figsize=(size, size), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares = counts.double() / counts.sum(1, keepdim=True).clamp(min=1)
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    places = range(len(names))
    # A dollar sign would begin mathematics.
    shown = [name.replace("$", r"\$") for name in names]
    axes.set_xticks(places, shown, rotation=90)
    axes.set_yticks(places, shown)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    if len(names) <= _MOST_NUMBERS:
        for row in places:
            for column in places:
                if count := int(counts[row, column]):
                    dark = float(shares[row, column]) > 0.5
                    axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=120)
