"""Long sequences in little memory: `checkpoint_every`, and torch's own checkpointing around a layer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import gatewise
from gatewise.kernels import Call, checkpointing
from tests.agreement import CELLS
from tests.combinations import combinations
from tests.kernels.engine import needs_engine

RAGGED = [5, 0, 3, 1]


def outcome(layer: gatewise.Recurrent, run: Callable[..., tuple[Tensor, object]], *, flags: bool) -> list[Tensor]:
    """Output, states and every gradient."""
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(5, 4, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    initial = tuple(
        torch.randn(rows, 4, 4, generator=draw, dtype=torch.float64, requires_grad=True) for _ in layer.cell.states
    )
    reset = torch.rand(5, 4, generator=draw) < 0.3
    options = {"lengths": torch.tensor(RAGGED), "reset": reset} if flags else {}
    output, state = run(x, initial if len(initial) > 1 else initial[0], **options)
    values = [output, *(state if isinstance(state, tuple) else (state,))]
    above = [torch.randn(value.shape, generator=draw, dtype=torch.float64) for value in values]
    return [*values, *torch.autograd.grad(values, [x, *initial, *layer.parameters()], above, allow_unused=True)]


def layer_of(cell: str, *, bidirectional: bool = False, every: int | str | None = None) -> gatewise.Recurrent:
    torch.manual_seed(0)
    return gatewise.Recurrent(
        CELLS[cell], 3, 4, 2, bidirectional=bidirectional, init="torch", checkpoint_every=every, dtype=torch.float64
    )


def close(actual: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(actual, expected, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


@combinations(
    {"cell": CELLS, "bidirectional": [False, True], "flags": [False, True], "every": [1, 2, 3, 5, 50, "auto"]}
)
def test_checkpoint_every_changes_nothing(cell: str, bidirectional: bool, flags: bool, every: int | str):
    plain = layer_of(cell, bidirectional=bidirectional)
    layer = layer_of(cell, bidirectional=bidirectional, every=every)
    close(outcome(layer, layer, flags=flags), outcome(plain, plain, flags=flags))


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru_cho2014"])
def test_inside_torchs_checkpoint(cell: str, reentrant: bool, every: int | None):
    layer = layer_of(cell, bidirectional=True, every=every)
    expected = outcome(layer, layer, flags=True)
    if reentrant:
        # The reentrant kind supports .backward() alone.
        draw = torch.randn(5, 2, 3, dtype=torch.float64)
        gradients = []
        for run in (layer, lambda x: checkpoint(layer, x, use_reentrant=True)):
            x = draw.clone().requires_grad_()
            layer.zero_grad()
            run(x)[0].square().sum().backward()
            gradients.append([x.grad, *(parameter.grad for parameter in layer.parameters())])
        close(*gradients)
    else:
        close(
            outcome(layer, lambda *a, **options: checkpoint(layer, *a, use_reentrant=False, **options), flags=True),
            expected,
        )


def test_dropout_between_layers_is_drawn_once():
    torch.manual_seed(0)
    plain = gatewise.LSTM(3, 4, 3, dropout=0.5, dtype=torch.float64)
    layer = gatewise.LSTM(3, 4, 3, dropout=0.5, checkpoint_every=2, dtype=torch.float64)
    layer.load_state_dict(plain.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    gradients = []
    for module in (plain, layer):
        torch.manual_seed(1)
        output, _ = module(x)
        gradients.append([output, *torch.autograd.grad(output.sum(), list(module.parameters()))])
    close(*gradients)


@pytest.mark.parametrize(("steps", "lengths"), [(16, []), (17, []), (100, [20, 40, 40]), (1000, [104, *[128] * 7])])
def test_auto_is_four_times_the_root(steps: int, lengths: list[int], monkeypatch: pytest.MonkeyPatch):
    """Where that is shorter than the whole."""
    seen: list[int] = []
    recompute = checkpointing._recompute

    def counted(segment: Call, *arguments: Any) -> Any:
        seen.append(segment.x.shape[0])
        return recompute(segment, *arguments)

    monkeypatch.setattr(checkpointing, "_recompute", counted)
    layer = layer_of("rnn_tanh", every="auto")
    layer.backend = "reference"
    x = torch.randn(steps, 2, 3, dtype=torch.float64)
    layer(x)[0].sum().backward()
    assert seen == 2 * lengths  # two layers


@needs_engine
@pytest.mark.parametrize(("steps", "segments"), [(16, 1), (17, 1), (100, 3), (1000, 8)])
def test_what_the_engine_keeps_are_the_states_between_segments(steps: int, segments: int):
    layer = layer_of("rnn_tanh", every="auto")
    shapes: list[torch.Size] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: shapes.append(one.shape) or one, lambda one: one):
        layer(torch.randn(steps, 2, 3, dtype=torch.float64))
    (hidden,) = {layer.hidden_size}
    assert [shape for shape in shapes if len(shape) == 3 and steps not in shape] == [(1, segments, 2 * hidden)] * 2
    assert [len(shape) for shape in shapes if steps in shape] == [3, 3]  # the input of each layer


def test_another_word_raises():
    with pytest.raises(ValueError, match="checkpoint_every: expected a number of steps, 'auto' or None, got 'often'"):
        gatewise.LSTM(3, 4, checkpoint_every="often")  # pyright: ignore[reportArgumentType]
