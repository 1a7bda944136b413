"""Plotting a matrix with named rows and columns as a heat map."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from gatewise.tasks.plots import new_figure, save_figure

_MAX_NUMBERS = 30


def plot_heat_map(
    shares: Tensor,
    rows: Sequence[str],
    columns: Sequence[str],
    path: Path,
    *,
    titles: tuple[str, str],
    numbers: Tensor | None = None,
) -> None:
    """Draw a matrix of shares, the larger the darker.

    Args:
        shares: (R, C), each from 0 to 1.
        rows, columns: their names.
        path: the PNG file to write.
        titles: what rows and what columns are.
        numbers: (R, C) int64, written into the cells unless there are too many; 0 is not.
    """
    width, height = (min(40.0, max(4.0, 0.45 * len(names) + 2)) for names in (columns, rows))
    figure = new_figure(width, height)
    axes = figure.subplots()
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    # A dollar sign would begin mathematics.
    row_names, column_names = ([name.replace("$", r"\$") for name in names] for names in (rows, columns))
    axes.set_xticks(range(len(columns)), column_names, rotation=90)
    axes.set_yticks(range(len(rows)), row_names)
    axes.set_ylabel(titles[0])
    axes.set_xlabel(titles[1])
    if numbers is not None and max(len(rows), len(columns)) <= _MAX_NUMBERS:
        for row, column in numbers.nonzero().tolist():
            dark = float(shares[row, column]) > 0.5
            text = str(int(numbers[row, column]))
            axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    save_figure(figure, path)
