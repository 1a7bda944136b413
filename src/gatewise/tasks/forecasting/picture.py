"""Forecasts as a picture: what came, what was told, and how sure."""

from pathlib import Path

from gatewise.tasks.figures import new_figure, save_figure
from gatewise.tasks.forecasting.scores import BackTest

_MOST_SERIES = 4


def plot_forecasts(test: BackTest, path: Path) -> None:
    """Draw, for the first series of a back-test, forecasts that follow each other, with the widest interval.

    Args:
        test: the back-test.
        path: the PNG file to write.
    """
    panel, grid = test.panel, test.panel.recipe.grid
    horizon = panel.recipe.horizon
    interval = " to ".join(f"{level:g}" for level in (test.levels[0], test.levels[-1]))
    shown = test.series.unique()[:_MOST_SERIES].tolist()
    figure = new_figure(10, 1 + 2.8 * len(shown))
    baseline = panel.seasonal_naive(test.places)
    for axes, series in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        one, begin = panel.series[series], panel.begins[series]
        rows = (test.series == series).nonzero()[:, 0]
        places = test.places[rows] - begin
        # Forecasts that do not overlap, the last one at the end of the series.
        chosen = rows[(int(places[-1]) - places) % horizon == 0]
        first = max(0, int(places[0]) - 2 * horizon)
        axes.plot(grid.stamps(one.numbers(first, len(one))), one.values[first:], color="black", lw=1, label="data")
        for number, row in enumerate(chosen.tolist()):
            at = int(test.places[row]) - begin
            times = grid.stamps(one.numbers(at + 1, at + 1 + horizon))
            # The legend names each once.
            names = ["_"] * 3 if number else ["forecast", "seasonal naive", interval]
            told = test.quantiles[row].numpy()
            axes.plot(times, test.middle[row].numpy(), color="C0", lw=1.5, label=names[0])
            axes.plot(times, baseline[row].numpy(), color="C1", lw=0.8, ls=":", label=names[1])
            if len(test.levels) > 1:
                axes.fill_between(times, told[:, 0], told[:, -1], color="C0", alpha=0.2, lw=0, label=names[2])
            axes.axvline(grid.stamps(one.numbers(at, at + 1))[0], color="gray", lw=0.3)
        axes.set_title(one.name.replace("$", r"\$"), loc="left", fontsize="medium")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(loc="upper left", ncols=4, fontsize="small")
    save_figure(figure, path)
