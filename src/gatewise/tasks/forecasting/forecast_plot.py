"""Plots of forecasts: what came, what was predicted, and the intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatewise.tasks.forecasting.scores import BackTest
from gatewise.tasks.plots import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_SERIES = 4
# Forecasts one after the other that are legible on one axis; of more, as many windows are shown. Of forecasts of few
# steps a window holds several, over as many steps.
_MAX_TOGETHER, _WINDOWS, _MIN_STEPS = 6, 4, 12


def plot_forecasts(test: BackTest, path: Path) -> None:
    """Draw, for the first series of a back-test, forecasts that follow each other, with the widest interval.

    Of many forecasts some windows are drawn, evenly spread from the first to the last.

    Args:
        test: the back-test.
        path: the PNG file to write.
    """
    drawn = test.series.unique()[:_MAX_SERIES].tolist()
    chosen = {series: _following(test, series) for series in drawn}
    together = -(-_MIN_STEPS // test.panel.preprocessing.horizon)
    columns = 1 if max(map(len, chosen.values())) <= _MAX_TOGETHER * together else _WINDOWS
    figure = new_figure(10 if columns == 1 else 13, 1.2 + 2.8 * len(drawn))
    for line, (series, rows) in zip(figure.subplots(len(drawn), columns, squeeze=False), chosen.items(), strict=True):
        windows = [rows] if columns == 1 else _spread(rows, columns, together)
        for axes, window in zip(line, windows, strict=False):
            _draw(axes, test, series, window)
        for axes in line[len(windows) :]:
            axes.set_axis_off()
        name = test.panel.series[series].name.replace("$", r"\$")
        count = sum(map(len, windows))
        some = f": {count} of {len(rows)} forecasts, evenly spread" if count < len(rows) else ""
        line[0].set_title(name + some, loc="left", fontsize="medium")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize="small")
    save_figure(figure, path)


def _following(test: BackTest, series: int) -> list[int]:
    """The rows of forecasts of a series that do not overlap, the last one at its end."""
    rows = (test.series == series).nonzero()[:, 0]
    positions = test.positions[rows]
    return rows[(int(positions[-1]) - positions) % test.panel.preprocessing.horizon == 0].tolist()


def _spread(rows: Sequence[int], count: int, together: int) -> list[Sequence[int]]:
    """Some windows of a number of rows that follow each other, the first and the last among them."""
    last = max(0, len(rows) - together)
    starts = np.linspace(0, last, min(count, last + 1)).round().astype(int)
    return [rows[start : start + together] for start in starts]


def _draw(axes: "Axes", test: BackTest, series: int, rows: Sequence[int]) -> None:
    """Draw forecasts of a series, with the data around them, on axes."""
    panel, grid = test.panel, test.panel.preprocessing.grid
    one, begin, horizon = panel.series[series], panel.begins[series], panel.preprocessing.horizon
    interval = " to ".join(f"{level:g}" for level in (test.levels[0], test.levels[-1]))
    origins = [int(test.positions[row]) - begin for row in rows]
    first, last = max(0, origins[0] - max(2 * horizon, _MIN_STEPS)), min(len(one), origins[-1] + 1 + horizon)
    axes.plot(grid.local_stamps(one.numbers(first, last)), one.values[first:last], color="black", lw=1, label="data")
    baseline = panel.seasonal_naive(test.positions[list(rows)]).numpy()
    for number, (row, origin) in enumerate(zip(rows, origins, strict=True)):
        times = grid.local_stamps(one.numbers(origin + 1, origin + 1 + horizon))
        # The legend names each once.
        names = ["_"] * 3 if number else ["forecast", "seasonal naive", interval]
        predicted = test.quantiles[row].numpy()
        mark = "." if horizon == 1 else ""
        axes.plot(times, test.middle[row].numpy(), color="C0", lw=1.5, marker=mark, label=names[0])
        axes.plot(times, baseline[number], color="C1", lw=1, ls=":", marker=mark, label=names[1])
        if len(test.levels) > 1:
            axes.fill_between(times, predicted[:, 0], predicted[:, -1], color="C0", alpha=0.2, lw=0, label=names[2])
        axes.axvline(grid.local_stamps(one.numbers(origin, origin + 1))[0], color="gray", lw=0.6)
    axes.grid(alpha=0.3)
    _few_ticks(axes, grid.local_stamps(one.numbers(first, last)))


def _few_ticks(axes: "Axes", stamps: NDArray[np.generic]) -> None:
    """Dates that do not run into each other."""
    if not np.issubdtype(stamps.dtype, np.datetime64):
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
