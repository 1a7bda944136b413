"""Jagged `torch.nested` tensors in and out."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

import gatewise
from tests.agreement import CELLS
from tests.layers.oracle import states_of

LENGTHS = (5, 0, 2, 1)


def rows(width: int = 3, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [torch.randn(length, width, dtype=dtype) for length in LENGTHS]


def jagged(parts: list[Tensor], **options: Any) -> Tensor:
    return torch.nested.nested_tensor(parts, layout=torch.jagged, **options)


def gradients(output: Tensor, state: Any, wanted: Any) -> tuple[Tensor, ...]:
    loss = output.square().sum() + sum(one.square().sum() for one in states_of(state))
    return torch.autograd.grad(loss, wanted)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "merge": "learned"}, {"reverse": True}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_is_the_padded_input_with_lengths(cell: str, options: dict[str, Any], batch_first: bool):
    torch.manual_seed(0)
    layer = gatewise.Recurrent(
        CELLS[cell], 3, 4, 2, batch_first=batch_first, init="torch", dtype=torch.float64, **options
    )
    parts = rows()
    nested = jagged(parts, requires_grad=True)
    padded = pad_sequence(parts, batch_first=batch_first).requires_grad_()
    output, state = layer(nested)
    expected, final = layer(padded, lengths=LENGTHS)
    for index, (one, length) in enumerate(zip(output.unbind(), LENGTHS, strict=True)):
        row = expected[index] if batch_first else expected[:, index]
        assert torch.equal(one, row[:length])
    assert all(torch.equal(*both) for both in zip(states_of(state), states_of(final), strict=True))
    of_nested, *actual = gradients(output.values(), state, (nested, *layer.parameters()))
    of_padded, *wanted = gradients(expected, final, (padded, *layer.parameters()))
    torch.testing.assert_close(actual, wanted)
    for index, (one, length) in enumerate(zip(of_nested.unbind(), LENGTHS, strict=True)):
        torch.testing.assert_close(one, (of_padded[index] if batch_first else of_padded[:, index])[:length])


def test_the_output_has_the_input_s_rows():
    layer, nested = gatewise.GRU(3, 3), jagged(rows(dtype=torch.float32))
    output, _ = layer(nested)
    assert output.shape == nested.shape
    assert (nested + output).shape == nested.shape  # an error with other offsets
    forward, reverse = gatewise.BiGRU(3, 4, merge=None)(nested)[0]
    assert forward.shape[2] == reverse.shape[2] == 4
    assert layer.backend_for(nested).name in ("cpu", "torch", "reference")


def test_gaps_between_the_rows():
    x = torch.randn(3, 6, 3, dtype=torch.float64, requires_grad=True)
    starts, lengths = torch.tensor([1, 0, 2]), torch.tensor([2, 6, 3])
    layer = gatewise.GRU(3, 4, dtype=torch.float64)
    narrowed = torch.nested.narrow(x, 1, starts, lengths, layout=torch.jagged)
    output, state = layer(narrowed)
    alone = [layer(row[start : start + length]) for row, start, length in zip(x, starts, lengths, strict=True)]
    torch.testing.assert_close(output.unbind(), tuple(one for one, _ in alone))
    torch.testing.assert_close(state[0], torch.cat([final for _, final in alone]))
    (actual,) = torch.autograd.grad(output.values().square().sum(), x)
    (wanted,) = torch.autograd.grad(sum(one.square().sum() for one, _ in alone), x)
    torch.testing.assert_close(actual, wanted)


def test_flags():
    layer, parts = gatewise.GRU(3, 4, dtype=torch.float64), rows()
    flags = [torch.rand(length) < 0.5 for length in LENGTHS]
    padded = pad_sequence(flags)
    output, state = layer(jagged(parts), reset=jagged(flags), mask=jagged([~one for one in flags]))
    expected, final = layer(pad_sequence(parts), lengths=LENGTHS, reset=padded, mask=~padded)
    torch.testing.assert_close(output.unbind()[0], expected[:, 0])
    torch.testing.assert_close(state, final)


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"lengths": LENGTHS}, ValueError, "lengths: expected None with a jagged tensor, whose rows have their own"),
        (
            {"mask": torch.ones(5, 4).bool()},
            TypeError,
            "mask: expected a jagged tensor (B, j) as the input is, got Tensor",
        ),
        (
            {"reset": jagged([torch.ones(2).bool()] * 4)},
            ValueError,
            "reset: expected rows of the lengths of the input's, got others",
        ),
    ],
    ids=["lengths", "mask", "reset"],
)
def test_invalid_options_raise(options: dict[str, Any], exception: type[Exception], message: str):
    with pytest.raises(exception, match=f"^{re.escape(message)}$"):
        gatewise.GRU(3, 4)(jagged(rows(dtype=torch.float32)), **options)


def test_invalid_tensors_raise():
    layer = gatewise.GRU(3, 4)
    with pytest.raises(
        ValueError, match=r"^input: expected a jagged tensor \(B, j, I\) whose second .*, got 3 dimensions"
    ):
        layer(jagged(rows()).transpose(1, 2))
    with pytest.raises(ValueError, match=r"^input: expected a jagged tensor \(B, j, I\)"):
        layer(jagged([torch.randn(3), torch.randn(2)]))
    with pytest.raises(ValueError, match=r"^input: expected at least one step, got rows of length 0 alone"):
        layer(jagged([torch.randn(0, 3)] * 2))
    with pytest.raises(TypeError, match=r"^input: expected torch\.float32"):
        layer(jagged(rows()))


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "merge": None}], ids=str)
def test_watched(options: dict[str, Any]):
    layer = gatewise.GRU(3, 4, batch_first=True, dtype=torch.float64, **options)
    with gatewise.watch(layer) as trace:
        output, _ = layer(jagged(rows()))
        output = output[0] if options else output
        output.values()[-1:].sum().backward()  # the one step of the last row
    (call,) = trace.passes[-1].calls
    assert call.loss_steps.outputs[0].nonzero().tolist() == [[0, 3]]
    trace.diagnose()
