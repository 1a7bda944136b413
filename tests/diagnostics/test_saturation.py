"""Where activations are flat."""

import pytest
import torch

from gatewise.diagnostics.saturation import saturation_of


def slope_part(value: float, activation: str) -> float:
    """The slope there, as a part of the largest."""
    return 4 * value * (1 - value) if activation == "sigmoid" else 1 - value**2


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_ends_are_where_the_slope_is_small(activation: str):
    values = getattr(torch, activation)(torch.linspace(-8, 8, 1601, dtype=torch.float64))
    found = saturation_of(values[:, None, None], activation)
    flat = [slope_part(float(value), activation) < 0.05 for value in values]
    assert found.total == pytest.approx(sum(flat) / len(flat), abs=1e-6)
    assert found.low == pytest.approx(found.high)
    assert (found.stuck_low, found.stuck_high) == (0, 0)


def test_units_and_padding():
    values = torch.full((3, 2, 4), 0.5)
    values[..., 1] = 0.9999
    values[..., 2] = 0.0001
    values[0, 0, 3] = 0.9999
    values[2, 1] = torch.nan  # padding
    found = saturation_of(values, "sigmoid")
    assert (found.stuck_low, found.stuck_high) == (0.25, 0.25)
    torch.testing.assert_close(found.by_unit, torch.tensor([0, 1, 1, 0.2]))
    assert found.high == pytest.approx(6 / 20)


def test_dead_units():
    values = torch.tensor([[[0.0, 1.0, 0.0]], [[0.0, 0.0, 2.0]]])
    found = saturation_of(values, "relu")
    assert found.stuck_low == pytest.approx(1 / 3)
    assert found.low == pytest.approx(4 / 6)


def test_activations_without_saturation():
    assert saturation_of(torch.randn(3, 2, 4) * 100, "identity").total == 0


def test_nothing_but_padding():
    assert saturation_of(torch.full((3, 2, 4), torch.nan), "tanh").total == 0
