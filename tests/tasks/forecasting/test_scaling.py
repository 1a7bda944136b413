"""The scale of a window: there and back, nothing of the future, and what a step reads."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from gatewise.tasks.forecasting.scaling import Changes, lags, references, scale_of, step_features

NAN = float("nan")


NONE = torch.zeros(1, dtype=torch.float64)


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float64)


@example([0.0, 1.3e-300], 23188.0)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20), st.floats(-1e6, 1e6))
def test_scaled_there_and_back(window, value):
    scale = scale_of(tensor(window), NONE)
    there = scale.scaled(tensor([value]))
    size = max(map(abs, [*window, value]))
    assert float(scale.unscaled(there)) == pytest.approx(value, rel=1e-9, abs=1e-9 * size + 1e-12)


def test_mean_and_deviation_of_what_is_there():
    level, scale = scale_of(tensor([NAN, 1.0, 3.0], [5.0, 5.0, 5.0], [0.0, 0.0, 0.0]), NONE)
    assert level.tolist() == [2.0, 5.0, 0.0]
    assert scale.tolist() == [1.0, 5e-4, 1.0]  # a window that never changes has a scale, not 0


def test_an_outlier_hardly_moves_a_scale():
    window = torch.sin(torch.arange(40.0, dtype=torch.float64))
    spiked = window.index_fill(0, torch.tensor([7]), 1e4)
    plain, moved = scale_of(window[None], NONE), scale_of(spiked[None], NONE)
    assert float(moved.scale) < 250  # the deviation itself would be 1561
    assert float(moved.level - plain.level) < 40
    assert float(scale_of(window[None, :3], NONE).scale) == pytest.approx(float(window[:3].std(correction=0)))


def test_a_forecast_scales_with_its_window():
    window = tensor([1.0, 4.0, 2.0])
    one, other = scale_of(window, NONE), scale_of(100 + 7 * window, NONE)
    assert torch.allclose(one.scaled(window), other.scaled(100 + 7 * window))


@given(st.floats(-1e300, 1e300), st.floats(1e-280, 1e280))
def test_no_size_of_a_unit_and_no_offset_changes_how_a_window_is_read(offset, unit):
    pattern = torch.tensor([1.0, 4.0, 2.0, 3.0], dtype=torch.float64)
    offset = min(max(offset, -1e10 * unit), 1e10 * unit)  # so that float64 holds the differences
    window = offset + unit * pattern
    scaled = scale_of(window[None], NONE).scaled(window[None])
    assert scaled[0].tolist() == pytest.approx(
        scale_of(pattern[None], NONE).scaled(pattern[None])[0].tolist(), abs=1e-4
    )


@pytest.mark.parametrize(("unit", "offset"), [(1.0, 0.0), (1e-40, 0.0), (1e40, 0.0), (10.0, 1e12)])
def test_a_window_that_does_not_change_has_the_scale_of_a_usual_change(unit, offset):
    values = offset + unit * torch.tensor([0, 2, 0, 2, 0, 2, 2, 2, 2, 2 + 1e-6], dtype=torch.float64)
    usual = Changes().after(values).usual[[7, 8]]
    assert usual.tolist() == pytest.approx([2 * unit] * 2)
    scale = scale_of(torch.stack((values[5:9], values[6:10])), usual).scale
    # One that hardly does at least a share of it; at that offset float64 does not hold the last change.
    assert scale.tolist() == pytest.approx([2 * unit, 2 * unit if offset else 2e-3 * unit])


def test_the_usual_change_is_not_that_of_one_outlier_nor_of_rounding():
    values = (torch.arange(200.0, dtype=torch.float64) * 0.1).sin()
    spiked = values.index_fill(0, torch.tensor([7]), 1e9)
    plain, moved = (float(Changes().after(one).usual[-1]) for one in (values, spiked))
    assert plain < moved < 1.5 * plain
    rounded = torch.tensor([0.3, 0.1 + 0.2] * 9, dtype=torch.float64)
    assert Changes().after(rounded).usual.tolist() == [0.0] * 18


def test_changes_continue_from_those_before():
    values = torch.tensor([3.0, 5.0, 5.0, 9.0, 1.0], dtype=torch.float64)
    whole = Changes().after(values)
    later = Changes(whole.logs[2], whole.seen[2]).after(values[2:])
    assert later.usual.tolist() == pytest.approx(whole.usual[2:].tolist())


def test_what_a_step_reads():
    features, scale = step_features(
        tensor([1.0, 3.0], [NAN, 3.0]), NONE, torch.tensor([False, True]), tensor([0.5], [0.25])
    )
    soft = [3 * math.asinh(value / 3) for value in (1.0, 2.0)]
    assert features.tolist() == [pytest.approx([*soft, 0.0, 0.5]), [0.0, 0.0, 1.0, 0.25]]
    assert scale.level.tolist() == [2.0, 3.0]


def test_references_are_the_last_value_its_change_and_the_season_before():
    values = np.arange(10.0, 20.0)  # the present is 19
    assert lags(6, 4) == [0, 4, 3, 2, 1, 0, 3, 2]
    lagged = tensor([values[9 - lag] for lag in lags(6, 4)])
    scale = scale_of(tensor([17.0, 19.0]), NONE)  # level 18, scale 1
    assert references(lagged, scale, 4).tolist() == [[1.0, 4.0, -2.0, -1.0, 0.0, 1.0, -2.0, -1.0]]
    assert references(tensor([19.0, 18.0, 19.0]), scale, 1).tolist() == [[1.0, 1.0]]
    young = tensor([19.0, NAN, NAN, 18.0])
    assert references(young, scale, 4).tolist() == [[1.0, 0.0, 1.0, 0.0]]
