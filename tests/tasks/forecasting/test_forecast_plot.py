"""The plot of a back-test: few windows, and a legend that hides nothing."""

import math
from pathlib import Path

import numpy as np
import pytest

from gatewise.tasks.forecasting import forecast_plot
from tests.tasks.forecasting.test_scores import back_test, panel

pytestmark = pytest.mark.usefixtures("rendered")


def drawn(monkeypatch, tmp_path: Path, test):
    """The figure, drawn once so that its layout is known."""
    figures = []
    save = forecast_plot.save_figure
    monkeypatch.setattr(forecast_plot, "save_figure", lambda figure, path: (figures.append(figure), save(figure, path)))
    forecast_plot.plot_forecasts(test, tmp_path / "forecast_plot.png")
    assert (tmp_path / "forecast_plot.png").stat().st_size
    (figure,) = figures
    return figure


def of_steps(count: int, horizon: int, series: int = 1):
    """A back-test of series with a forecast from every step but the first."""
    data = panel(*[np.arange(float(count)) % 7 for _ in range(series)], horizon=horizon)
    positions = [begin + step for begin in data.begins[:series] for step in range(1, count - horizon)]
    middles = np.ones((len(positions), horizon)).tolist()
    return back_test(data, positions, middles, levels=(0.1, 0.5, 0.9), spread=1.0)


def test_few_forecasts_stand_on_one_axis(monkeypatch, tmp_path: Path):
    figure = drawn(monkeypatch, tmp_path, of_steps(40, 12))
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "x"
    assert len([line for line in axes.get_lines() if line.get_color() == "C0"]) == 3


@pytest.mark.parametrize(("horizon", "count", "each"), [(12, 400, 1), (4, 200, 3), (1, 200, 12)])
def test_of_many_forecasts_some_windows(monkeypatch, tmp_path: Path, horizon: int, count: int, each: int):
    figure = drawn(monkeypatch, tmp_path, of_steps(count, horizon, series=2))
    assert len(figure.axes) == 2 * 4
    for axes in figure.axes:
        lines = [line for line in axes.get_lines() if line.get_color() == "C0"]
        assert len(lines) == each
        width = axes.get_lines()[0].get_xdata()
        assert width[-1] - width[0] <= 2 * 12 + each * horizon
    following = math.ceil((count - 1 - horizon) / horizon)
    assert figure.axes[0].get_title(loc="left") == f"x: {4 * each} of {following} forecasts, evenly spread"
    # The last ends with the series.
    assert figure.axes[3].get_lines()[0].get_xdata()[-1] == count - 1


def test_the_legend_is_outside_the_axes(monkeypatch, tmp_path: Path):
    for count in (40, 400):
        figure = drawn(monkeypatch, tmp_path, of_steps(count, 12))
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["data", "forecast", "seasonal naive", "0.1 to 0.9"]
        box = legend.get_window_extent()
        assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
        assert not any(axes.get_legend() for axes in figure.axes)
