"""Features to mean 0 and standard deviation 1."""

import re

import pytest

from gatewise.data.scaling import Scaling


def test_scaling_goes_forth_and_back():
    scaling = Scaling.learn([[[1.0, 7.0]], [[3.0, 7.0], [5.0, 7.0]]])
    scaled = scaling.scaled([[3.0, 7.0], [5.0, 8.0]])
    assert scaled[:, 0].tolist() == pytest.approx([0.0, 2 / (8 / 3) ** 0.5])
    assert scaling.unscaled(scaled).flatten().tolist() == pytest.approx([3.0, 7.0, 5.0, 8.0])
    again = Scaling.from_content(scaling.content())
    assert again.unscaled(scaled).tolist() == scaling.unscaled(scaled).tolist()
    with pytest.raises(ValueError, match="expected 2 features at each step, as in training"):
        scaling.scaled([[1.0]])


@pytest.mark.parametrize(("unit", "offset"), [(1.0, 0.0), (1e-20, 0.0), (1e-300, 0.0), (1e300, 0.0), (1.0, 1e9)])
def test_any_unit_and_offset_are_scaled(unit, offset):
    steps = [[offset + unit * value, 7.0] for value in (1.0, 2.0, 4.0, 5.0)]
    scaling = Scaling.learn([steps])
    expected = Scaling.learn([[[1.0], [2.0], [4.0], [5.0]]]).scaled([[4.0]])
    assert scaling.scaled(steps)[2, 0].tolist() == pytest.approx(float(expected), rel=1e-5)
    assert scaling.constant == [1]


def test_rounding_is_no_change():
    scaling = Scaling.learn([[[0.1 + 0.2, 1e12], [0.3, 1e12 + 10]]])
    assert scaling.constant == [0]
    assert scaling.scaled([[0.3, 1e12 + 10]])[0].tolist() == pytest.approx([0.0, 1.0], abs=1e-6)


def test_a_number_that_float32_cannot_hold_is_rejected():
    scaling = Scaling.learn([[[1e-30], [2e-30]]])
    with pytest.raises(ValueError, match=re.escape("step 1: feature 1 is 1e+20, too far from the training data")):
        scaling.scaled([[1e20]])
