"""The scores and the baseline, by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from gatewise.data.scaling import Scaling
from gatewise.data.series import Series
from gatewise.data.series_columns import Columns
from gatewise.data.time_grid import TimeGrid
from gatewise.data.time_stamps import TimeForm
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.scores import BackTest

NAN = float("nan")


def panel(*rows, season=2, horizon=3):
    grid = TimeGrid("numbers", 1.0, 0.0, 1, 0.0, TimeForm("number"))
    preprocessing = Preprocessing(grid, Columns(), (), Scaling.none(0), season, horizon, 4)
    return Panel(preprocessing, [Series("x", 0, np.array(row), np.zeros((len(row), 0))) for row in rows])


def test_the_seasonal_naive_forecast():
    found = panel([1.0, 2.0, 4.0, NAN, 8.0], [5.0, 6.0]).seasonal_naive(torch.tensor([3, 1, 0, 9]))
    assert found.tolist() == [[4, 4, 4], [1, 2, 1], [1, 1, 1], [5, 6, 5]]  # what is missing is the value before it


def back_test(data, positions, middles, levels=(0.5,), spread=0.0):
    positions = torch.tensor(positions)
    around = spread * (torch.tensor(levels, dtype=torch.float64) - 0.5)
    quantiles = torch.tensor(middles, dtype=torch.float64)[..., None] + around
    return BackTest(data, data.series_at(positions), positions, levels, quantiles, data.to_come(positions))


def test_errors_by_hand():
    data = panel([1.0, 2.0, 4.0, 3.0, 8.0, 5.0, NAN])
    scores = back_test(data, [3], [[6.0, 5.0, 5.0]]).scores()
    # What comes after step 3 is 8, 5 and nothing; the seasonal naive forecast is 4, 3.
    assert scores["mae"] == 1.0
    assert scores["rmse"] == pytest.approx(math.sqrt(2))
    assert scores["mse"] == pytest.approx(2)
    assert scores["baseline_mse"] == pytest.approx((16 + 4) / 2)
    # The standard deviation of 1, 2, 4, 3, the steps before the first forecast.
    assert scores["scaled_mae"] == pytest.approx(1 / math.sqrt(1.25))
    assert scores["scaled_mse"] == pytest.approx(2 / 1.25)
    assert scores["per_step"] == {  # nothing came of the third
        "1": pytest.approx({"mae": 2, "baseline_mae": 4, "mse": 4, "scaled_mae": 4 / math.sqrt(5), "scaled_mse": 3.2}),
        "2": pytest.approx({"mae": 0, "baseline_mae": 2, "mse": 0, "scaled_mae": 0, "scaled_mse": 0}),
    }
    assert scores["smape"] == pytest.approx(100 * (2 / 7 + 0) / 2)
    assert scores["baseline_mae"] == 3.0
    assert scores["last_value_mae"] == (5 + 2) / 2
    # Before the first forecast: |4 − 1| and |3 − 2|, in the mean 2.
    assert scores["mase"] == 1.0 / 2
    assert scores["baseline_mase"] == 3.0 / 2
    assert (scores["series"], scores["forecasts"]) == (1, 1)
    assert "pinball" not in scores


def test_the_mean_absolute_scaled_error_weighs_series_equally_and_excludes_constant_ones():
    data = panel([1.0, 2.0, 4.0, 3.0, 8.0, 8.0, 8.0], [100.0, 0.0, 0.0, 0.0, 10.0, 10.0, 10.0], [7.0] * 7)
    scores = back_test(data, [3, 13, 23], [[6.0, 6.0, 6.0], [0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]).scores()
    assert scores["mase"] == pytest.approx((2 / 2 + 10 / 50) / 2)
    assert scores["mae"] == pytest.approx((2 + 10 + 2) / 3)


def test_errors_are_scaled_by_the_deviation_of_what_was_learned_from():
    data = panel([1.0, 5.0, 9.0, 3.0, 8.0, 8.0, 8.0], [100.0, 0.0, 0.0, 0.0, 10.0, 10.0, 10.0], [7.0] * 7)
    medians = [[6.0, 6.0, 6.0], [0.0, 0.0, 0.0], [9.0, 9.0, 9.0]]
    test = dataclasses.replace(back_test(data, [3, 13, 23], medians), learned=[2, 3, 3])
    # Deviations 2 of 1, 5, and that of 100, 0, 0; the last series has none, and is excluded.
    scores = test.scores()
    second = math.sqrt(2) / 3 * 100
    assert scores["scaled_mae"] == pytest.approx((2 / 2 + 10 / second) / 2)
    assert scores["scaled_mse"] == pytest.approx((1 + 100 / second**2) / 2)
    assert scores["mse"] == pytest.approx((4 + 100 + 4) / 3)
    assert "scaled_mae" not in back_test(panel([7.0] * 7), [3], [[9.0] * 3]).scores()


def test_quantiles_by_hand():
    data = panel([1.0, 2.0, 4.0, 3.0, 8.0, 5.0, 6.0])
    scores = back_test(data, [3], [[6.0, 5.0, 5.0]], (0.1, 0.5, 0.9), spread=5.0).scores()
    # Quantiles 4 6 8, 3 5 7, 3 5 7 of 8, 5, 6.
    losses = [0.1 * 4, 0.5 * 2, 0, 0.1 * 2, 0, 0.1 * 2, 0.1 * 3, 0.5 * 1, 0.1 * 1]
    assert scores["pinball"] == pytest.approx(sum(losses) / 9)
    assert scores["coverage"] == 1.0
    assert {step: row["coverage"] for step, row in scores["per_step"].items()} == {"1": 1.0, "2": 1.0, "3": 1.0}


def test_the_baseline_has_quantiles_of_its_errors_before_the_first_forecast():
    data = panel([0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 50.0, 50.0], season=1, horizon=2)
    found = back_test(data, [7], [[0.0, 0.0]], (0.0, 0.5, 1.0)).baseline()
    # Errors of the last value up to step 7: 0 and six times 1, and 1 and five times 2 for two steps; the 50 that comes
    # later is not among them.
    assert found.tolist() == [[[6.0, 6.0, 7.0], [7.0, 6.0, 8.0]]]
