"""Clipping, and what it says that it did."""

from typing import Any

import pytest
import torch
from torch import nn

import gatewise


def network(*sizes: float) -> nn.ModuleDict:
    """Layers whose gradients are of these norms."""
    layers = {}
    for index, size in enumerate(sizes):
        layer = nn.Linear(3, 1, bias=False)
        layer.weight.grad = torch.tensor([[0.6, 0.0, -0.8]]) * size
        layers[f"layer{index}"] = layer
    return nn.ModuleDict(layers)


def norms(model: nn.Module) -> list[float]:
    return [float(one.grad.norm()) for one in model.parameters() if one.grad is not None]


def test_by_norm_of_all():
    model, clip = network(3, 4), gatewise.Clip(norm=1.0)
    event = clip(model)
    assert event.clipped
    assert event.norm == pytest.approx(5)
    assert event.norms == pytest.approx({"": 5})
    assert norms(model) == pytest.approx([0.6, 0.8], rel=1e-4)


def test_by_norm_of_each_layer():
    model, clip = network(3, 0.5), gatewise.Clip(norm=1.0, per_layer=True)
    event = clip(model)
    assert event.norms == pytest.approx({"layer0": 3, "layer1": 0.5})
    assert event.norm == pytest.approx((9 + 0.25) ** 0.5)
    assert norms(model) == pytest.approx([1, 0.5], rel=1e-4)


def test_by_value():
    model, clip = network(1, 10), gatewise.Clip(value=1.0)
    event = clip(model)
    assert event.norm == pytest.approx(101**0.5)
    assert event.values == pytest.approx(2 / 6)
    gradients = torch.cat([one.grad for one in model.parameters() if one.grad is not None])
    torch.testing.assert_close(gradients, torch.tensor([[0.6, 0.0, -0.8], [1.0, 0.0, -1.0]]))


def test_it_counts_how_often_it_did_something():
    clip = gatewise.Clip(norm=2.0)
    assert clip.fraction == 0
    assert [clip(network(size)).clipped for size in (1, 3, 1, 2.5)] == [False, True, False, True]
    assert (clip.steps, clip.clipped_steps, clip.fraction) == (4, 2, 0.5)
    assert clip.last is not None
    assert clip.last.norm == pytest.approx(2.5)


def test_nothing_to_clip_is_no_clipping():
    event = gatewise.Clip(norm=1.0)(nn.Linear(2, 2))
    assert (event.norm, event.clipped, event.norms) == (0, False, {})


def test_nan_gradient_counts_as_clipped():
    model = network(1)
    model.layer0.weight.grad.fill_(torch.nan)
    assert gatewise.Clip(norm=1.0)(model).clipped


def test_weights_that_layers_share_are_clipped_once():
    model = network(3, 4)
    model.layer1.weight = model.layer0.weight
    assert gatewise.Clip(norm=1.0, per_layer=True)(model).norms == pytest.approx({"layer0": 3})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected either norm or value"),
        ({"norm": 1.0, "value": 1.0}, "expected either norm or value"),
        ({"norm": 0.0}, "norm: expected a positive number, got 0.0"),
        ({"value": float("nan")}, "value: expected a positive number, got nan"),
        ({"value": 1.0, "per_layer": True}, "per_layer: expected with norm"),
    ],
)
def test_invalid_arguments_raise(options: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        gatewise.Clip(**options)


@pytest.mark.parametrize("option", ["norm", "value"])
@pytest.mark.parametrize("wrong", ["1", True, [1.0], torch.ones(2)])
def test_arguments_of_wrong_types_raise(option: str, wrong: Any):
    with pytest.raises(TypeError, match=rf"^{option}: expected a number, got {type(wrong).__name__} "):
        gatewise.Clip(**{option: wrong})
    with pytest.raises(TypeError, match=rf"^model: expected a torch.nn.Module, got {type(wrong).__name__}$"):
        gatewise.Clip(norm=1.0)(wrong)


def test_a_watcher_hears_of_it():
    layer, other = gatewise.GRU(2, 3), gatewise.GRU(2, 3)
    clip = gatewise.Clip(norm=1e-3)
    with gatewise.watch(layer) as trace:
        for one in (layer, other):
            one(torch.randn(4, 2, 2))[0].sum().backward()
            clip(one)
    assert len(trace.clips) == 1
    assert trace.clips[0].clipped
