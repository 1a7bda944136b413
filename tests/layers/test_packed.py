"""A PackedSequence goes in and comes out as with torch.nn, in its own order of rows."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import gatewise
from tests.agreement import CELLS
from tests.layers.test_torch_compatibility import PAIRS, both, pairs, tensors_of

LENGTHS = {True: [6, 4, 4, 1], False: [4, 1, 6, 4]}


def packed(sort: bool, x: torch.Tensor) -> PackedSequence:
    return pack_padded_sequence(x, torch.tensor(LENGTHS[sort]), enforce_sorted=sort)


@pairs
@pytest.mark.parametrize("backend", ["auto", "torch", "reference"])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}], ids=str)
def test_as_torch(pair: str, options: dict[str, Any], in_order: bool, with_state: bool, backend: str):
    expected, layer = both(pair, **options, dtype=torch.float64)
    layer.backend = backend
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    initial = tuple(torch.randn(rows, 4, 4, dtype=torch.float64) for _ in layer.cell.states)
    gradients = []
    outcomes = []
    for module in (expected, layer):
        leaf = x.clone().requires_grad_()
        states = tuple(state.clone().requires_grad_() for state in initial)
        hx = None if not with_state else states if len(states) > 1 else states[0]
        output, final = module(packed(in_order, leaf), hx)
        finals = tensors_of(final)
        assert isinstance(output, PackedSequence)
        loss = output.data.square().sum() + sum(
            (index + 2) * state.square().sum() for index, state in enumerate(finals)
        )
        wanted = [leaf, *(states if with_state else ()), *module.parameters()]
        gradients.append(torch.autograd.grad(loss, wanted))
        outcomes.append((output, finals))
    (theirs, their_finals), (ours, our_finals) = outcomes
    assert torch.equal(ours.batch_sizes, theirs.batch_sizes)
    for name in ("sorted_indices", "unsorted_indices"):
        if in_order:
            assert getattr(ours, name) is None
        else:
            assert torch.equal(getattr(ours, name), getattr(theirs, name))
    torch.testing.assert_close(ours.data, theirs.data, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(our_finals, their_finals, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("merge", ["concat", "sum", "learned", None])
@pytest.mark.parametrize("cell", CELLS)
def test_packed_rows_are_rows_with_lengths(cell: str, merge: str | None):
    torch.manual_seed(0)
    layer = gatewise.Recurrent(
        CELLS[cell], 3, 4, num_layers=2, bidirectional=True, merge=merge, init="torch", dtype=torch.float64
    )
    if merge == "learned":
        nn.init.normal_(layer.merge_bias_l1)
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    output, state = layer(packed(False, x))
    expected, expected_state = layer(x, lengths=torch.tensor(LENGTHS[False]))
    for actual, padded in zip(
        output if merge is None else (output,), expected if merge is None else (expected,), strict=True
    ):
        assert isinstance(actual, PackedSequence)
        again, lengths = pad_packed_sequence(actual)
        assert lengths.tolist() == LENGTHS[False]
        torch.testing.assert_close(again, padded)
    torch.testing.assert_close(state, expected_state)


@pytest.mark.parametrize("name", ["lengths", "reset"])
def test_lengths_and_resets_need_padded_rows(name: str):
    x = torch.randn(6, 4, 3)
    value = {"lengths": torch.tensor(LENGTHS[True]), "reset": torch.zeros(6, 4, dtype=torch.bool)}[name]
    with pytest.raises(ValueError, match=f"{name}: expected None with a PackedSequence; pad the rows"):
        gatewise.LSTM(3, 4)(packed(True, x), **{name: value})


@pytest.mark.parametrize("in_order", [True, False])
def test_backend_for_a_packed_sequence(in_order: bool):
    x = torch.randn(6, 4, 3)
    layer = gatewise.LSTM(3, 4, batch_first=True)
    choice = layer.backend_for(packed(in_order, x))
    assert choice == gatewise.LSTM(3, 4).backend_for(x, lengths=LENGTHS[in_order])
    layer.backend = "torch"
    assert layer.backend_for(packed(in_order, x)) == ("torch", "asked for by name")


def test_the_layer_itself_is_not_changed_by_a_call():
    layer = PAIRS["LSTM"][1](3, 4)
    before = copy.deepcopy(layer.state_dict())
    layer(packed(False, torch.randn(6, 4, 3)))
    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())
