"""Layers are copied, pickled, saved, moved to other precisions: cells of any kind with them."""

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import gatewise
from gatewise.equations import cell, tanh
from tests.agreement import CELLS


def local_cell() -> gatewise.Cell:
    @cell(cite="unpublished")
    def own(x, h, /, W, R, s):
        """A cell that no module holds."""
        return tanh(W @ x + s * (R @ h))

    return own


ALL = {**CELLS, "own": local_cell()}


def through_torch(layer: gatewise.Recurrent) -> gatewise.Recurrent:
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


WAYS: dict[str, Callable[[gatewise.Recurrent], gatewise.Recurrent]] = {
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "torch.save": through_torch,
}


def layer_of(name: str) -> gatewise.Recurrent:
    torch.manual_seed(0)
    return gatewise.Recurrent(ALL[name], 3, 4, 2, bidirectional=True, merge="learned", checkpoint_every=3, init="torch")


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("name", ALL)
def test_a_copy_is_the_same_layer_with_its_own_weights(name: str, path: str):
    layer = layer_of(name)
    x = torch.randn(5, 2, 3)
    reset = torch.rand(5, 2) < 0.3
    expected = layer(x, lengths=[5, 3], reset=reset)
    other = WAYS[path](layer)
    assert other.cell == layer.cell
    assert repr(other) == repr(layer)
    torch.testing.assert_close(other(x, lengths=[5, 3], reset=reset), expected, rtol=0, atol=0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    torch.testing.assert_close(layer(x, lengths=[5, 3], reset=reset), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ALL)
def test_state_dicts_go_round(name: str, tmp_path: Path):
    layer = layer_of(name)
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(5)
    other = gatewise.Recurrent(ALL[name], 3, 4, 2, bidirectional=True, merge="learned", checkpoint_every=3)
    x = torch.randn(5, 2, 3)
    assert not torch.equal(other(x)[0], layer(x)[0])
    missing, unexpected = other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert (missing, unexpected) == ([], [])
    assert torch.equal(other(x)[0], layer(x)[0])


@pytest.mark.parametrize("name", ALL)
def test_other_precisions(name: str):
    layer = layer_of(name)
    x = torch.randn(5, 2, 3)
    expected = layer(x)[0]
    assert layer.double() is layer
    torch.testing.assert_close(layer(x.double())[0].float(), expected)
    half = layer.to(torch.bfloat16)(x.bfloat16())[0]
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=0.1, atol=0.1)
    with pytest.raises(TypeError, match=r"input: expected torch\.bfloat16"):
        layer(x)


READER = """
import sys, torch
layer, x, expected = torch.load(sys.argv[1], weights_only=False)
came = layer(x)[0]
assert torch.equal(came, expected), (came, expected)
print(layer.cell.name, layer.cell.cite, layer.cell.doc)
"""


def test_a_local_cell_is_read_by_a_process_that_never_saw_it(tmp_path: Path):
    layer = layer_of("own").eval()
    x = torch.randn(5, 2, 3)
    torch.save((layer, x, layer(x)[0].detach()), tmp_path / "layer.pt")
    ran = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "layer.pt")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.strip() == "own unpublished A cell that no module holds."


def test_parameters_can_be_shared_and_replaced():
    layer, other = gatewise.LSTM(3, 4), gatewise.LSTM(3, 4)
    other.weight_hh_l0 = layer.weight_hh_l0
    x = torch.randn(5, 2, 3)
    (layer(x)[0] + other(x)[0]).sum().backward()
    assert other.weight_hh_l0.grad is layer.weight_hh_l0.grad
    torch.nn.utils.parametrizations.weight_norm(other, "weight_hh_l0")
    torch.testing.assert_close(other(x)[0].shape, torch.Size([5, 2, 4]))
    other(x)[0].sum().backward()
    assert other.parametrizations.weight_hh_l0.original1.grad is not None
