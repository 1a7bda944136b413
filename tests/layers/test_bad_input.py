"""Invalid arguments of a layer raise before any work: the argument, what was expected, what came, what to try."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

import gatewise


def zeros(*shape: int, **options: Any) -> Tensor:
    return torch.zeros(shape, **options)


def flags(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.bool)


STATE = zeros(1, 2, 4)
SEQUENCE = zeros(5, 2, 3)

# By what is wrong: options of the layer, arguments, exception, message.
FORWARD: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = {
    "input is not a tensor": (
        {},
        {"input": [[1.0]]},
        TypeError,
        "input: expected a torch.Tensor, got list; convert it with torch.as_tensor",
    ),
    "sparse": (
        {},
        {"input": SEQUENCE.to_sparse()},
        TypeError,
        "input: expected a dense tensor, got layout torch.sparse_coo; convert it with to_dense()",
    ),
    "a sparse state": (
        {},
        {"input": SEQUENCE, "hx": STATE.to_sparse()},
        TypeError,
        "hx: expected a dense tensor, got layout torch.sparse_coo; convert it with to_dense()",
    ),
    "nested": (
        {},
        {"input": SEQUENCE, "hx": torch.nested.nested_tensor([zeros(5, 3), zeros(2, 3)], layout=torch.jagged)},
        TypeError,
        "hx: expected a padded tensor, got a nested one with layout torch.jagged; an input of layers may be nested "
        "with layout=torch.jagged, others are padded with torch.nested.to_padded_tensor",
    ),
    "rank 1": (
        {},
        {"input": zeros(3)},
        ValueError,
        "input: expected (T, B, I), or (T, I) without a batch, got (3); "
        "for single steps of shape (B, I) there is layer.step",
    ),
    "rank 4, batch first": (
        {"batch_first": True},
        {"input": zeros(1, 2, 5, 3)},
        ValueError,
        "input: expected (B, T, I), or (T, I) without a batch, got (1, 2, 5, 3); "
        "for single steps of shape (B, I) there is layer.step",
    ),
    "width": (
        {},
        {"input": zeros(5, 2, 4)},
        ValueError,
        "input: expected shape (T, B, I=3), got (5, 2, 4); the last dimension holds the input_size features of a step",
    ),
    "width, batch first": (
        {"batch_first": True},
        {"input": zeros(2, 5, 4)},
        ValueError,
        "input: expected shape (B, T, I=3), got (2, 5, 4); the last dimension holds the input_size features of a step",
    ),
    "width, no batch": (
        {"batch_first": True},
        {"input": zeros(5, 4)},
        ValueError,
        "input: expected shape (T, I=3), got (5, 4); the last dimension holds the input_size features of a step",
    ),
    "no step": (
        {},
        {"input": zeros(0, 2, 3)},
        ValueError,
        "input: expected at least one step, got T=0; remove empty sequences, or use lengths",
    ),
    "no step, batch first": (
        {"batch_first": True},
        {"input": zeros(2, 0, 3)},
        ValueError,
        "input: expected at least one step, got T=0; remove empty sequences, or use lengths",
    ),
    "dtype": (
        {},
        {"input": zeros(5, 2, 3, dtype=torch.float64)},
        TypeError,
        "input: expected torch.float32 as the layer's parameters, got torch.float64; "
        "convert one of them, for example with input.to(torch.float32)",
    ),
    "integers": (
        {},
        {"input": zeros(5, 2, 3, dtype=torch.int64)},
        TypeError,
        "input: expected torch.float32 as the layer's parameters, got torch.int64; "
        "convert one of them, for example with input.to(torch.float32)",
    ),
    "device": (
        {},
        {"input": zeros(5, 2, 3, device="meta")},
        ValueError,
        "input: expected device cpu as the layer's parameters, got meta; move one of them, for example with "
        "input.to('cpu')",
    ),
    "device of the layer": (
        {"device": "meta"},
        {"input": SEQUENCE},
        ValueError,
        "input: expected device meta as the layer's parameters, got cpu; move one of them, for example with "
        "input.to('meta')",
    ),
    "hx of the wrong batch": (
        {},
        {"input": SEQUENCE, "hx": zeros(1, 3, 4)},
        ValueError,
        "hx: expected shape (D*L=1, B=2, H=4), got (1, 3, 4); "
        "a state has a row per layer and direction, also with batch_first, and a batch as the input has",
    ),
    "hx batch first": (
        {"batch_first": True, "num_layers": 2, "bidirectional": True},
        {"input": zeros(3, 5, 3), "hx": zeros(3, 4, 4)},
        ValueError,
        "hx: expected shape (D*L=4, B=3, H=4), got (3, 4, 4); "
        "a state has a row per layer and direction, also with batch_first, and a batch as the input has",
    ),
    "hx without a batch": (
        {},
        {"input": SEQUENCE, "hx": zeros(1, 4)},
        ValueError,
        "hx: expected shape (D*L=1, B=2, H=4), got (1, 4); "
        "a state has a row per layer and direction, also with batch_first, and a batch as the input has",
    ),
    "hx with a batch": (
        {},
        {"input": zeros(5, 3), "hx": STATE},
        ValueError,
        "hx: expected shape (D*L=1, H=4), got (1, 2, 4); "
        "a state has a row per layer and direction, also with batch_first, and a batch as the input has",
    ),
    "hx in a tuple": (
        {},
        {"input": SEQUENCE, "hx": (STATE,)},
        TypeError,
        "hx: expected a tensor, the state h, got a tuple of 1",
    ),
    "hx is not a tensor": (
        {},
        {"input": SEQUENCE, "hx": 0.0},
        TypeError,
        "hx: expected a torch.Tensor, got float; convert it with torch.as_tensor",
    ),
    "hx of another dtype": (
        {},
        {"input": SEQUENCE, "hx": STATE.double()},
        TypeError,
        "hx: expected torch.float32 as the layer's parameters, got torch.float64; "
        "convert one of them, for example with hx.to(torch.float32)",
    ),
    "hx on another device": (
        {},
        {"input": SEQUENCE, "hx": STATE.to("meta")},
        ValueError,
        "hx: expected device cpu as the layer's parameters, got meta; move one of them, for example with hx.to('cpu')",
    ),
    "one state for two": (
        {"cell": "lstm"},
        {"input": SEQUENCE, "hx": STATE},
        TypeError,
        "hx: expected a tuple of 2 tensors (h, c), got Tensor",
    ),
    "three states for two": (
        {"cell": "lstm"},
        {"input": SEQUENCE, "hx": (STATE, STATE, STATE)},
        ValueError,
        "hx: expected a tuple of 2 tensors (h, c), got 3",
    ),
    "second state": (
        {"cell": "lstm"},
        {"input": SEQUENCE, "hx": (STATE, zeros(1, 2, 5))},
        ValueError,
        "hx (c): expected shape (D*L=1, B=2, H=4), got (1, 2, 5); "
        "a state has a row per layer and direction, also with batch_first, and a batch as the input has",
    ),
    "lengths too long": (
        {},
        {"input": SEQUENCE, "lengths": [5, 6]},
        ValueError,
        "lengths: expected values between 0 and T=5, the number of steps of input, got 6; "
        "pass the number of valid steps of each row",
    ),
    "lengths below 0": (
        {},
        {"input": SEQUENCE, "lengths": torch.tensor([-1, 5])},
        ValueError,
        "lengths: expected values between 0 and T=5, the number of steps of input, got -1; "
        "pass the number of valid steps of each row",
    ),
    "lengths that are no numbers": (
        {},
        {"input": SEQUENCE, "lengths": [5, "all"]},
        TypeError,
        "lengths: expected integers, got [5, 'all']; pass the number of steps of each row",
    ),
    "one length for all": (
        {},
        {"input": SEQUENCE, "lengths": 5},
        TypeError,
        "lengths: expected integers, got 5; pass the number of steps of each row",
    ),
    "number of lengths": (
        {},
        {"input": SEQUENCE, "lengths": torch.tensor([5, 5, 5])},
        ValueError,
        "lengths: expected shape (B=2,), got (3,); pass one length per row of the batch",
    ),
    "no lengths": (
        {},
        {"input": SEQUENCE, "lengths": []},
        ValueError,
        "lengths: expected shape (B=2,), got (0,); pass one length per row of the batch",
    ),
    "rank of lengths": (
        {},
        {"input": SEQUENCE, "lengths": torch.tensor(5)},
        ValueError,
        "lengths: expected shape (B=2,), got (); pass one length per row of the batch",
    ),
    "lengths of floats": (
        {},
        {"input": SEQUENCE, "lengths": [5.0, 2.0]},
        TypeError,
        "lengths: expected integers, got torch.float32; pass the number of steps of each row",
    ),
    "lengths of bools": (
        {},
        {"input": SEQUENCE, "lengths": torch.tensor([True, False])},
        TypeError,
        "lengths: expected integers, got torch.bool; pass the number of steps of each row",
    ),
    "lengths without a batch": (
        {},
        {"input": zeros(5, 3), "lengths": [5]},
        ValueError,
        "lengths: requires a batched input; slice the sequence instead",
    ),
    "reset is not a tensor": (
        {},
        {"input": SEQUENCE, "reset": [[True] * 2] * 5},
        TypeError,
        "reset: expected a bool tensor, got list; convert it with torch.as_tensor",
    ),
    "reset is not bool": (
        {},
        {"input": SEQUENCE, "reset": zeros(5, 2)},
        TypeError,
        "reset: expected torch.bool, got torch.float32; pass reset.bool() if nonzero means a boundary",
    ),
    "reset batch first": (
        {},
        {"input": SEQUENCE, "reset": flags(2, 5)},
        ValueError,
        "reset: expected shape (T=5, B=2), got (2, 5); pass one flag per step and row of the input",
    ),
    "reset time first": (
        {"batch_first": True},
        {"input": zeros(2, 5, 3), "reset": flags(5, 2)},
        ValueError,
        "reset: expected shape (B=2, T=5), got (5, 2); pass one flag per step and row of the input",
    ),
    "reset with a batch": (
        {},
        {"input": zeros(5, 3), "reset": flags(5, 1)},
        ValueError,
        "reset: expected shape (T=5,), got (5, 1); pass one flag per step and row of the input",
    ),
    "packed lengths": (
        {},
        {"input": pack_sequence([zeros(5, 3)]), "lengths": [5]},
        ValueError,
        "lengths: expected None with a PackedSequence; pad the rows and pass lengths to use lengths",
    ),
    "packed reset": (
        {},
        {"input": pack_sequence([zeros(5, 3)]), "reset": flags(5, 1)},
        ValueError,
        "reset: expected None with a PackedSequence; pad the rows and pass lengths to use reset",
    ),
    "packed width": (
        {},
        {"input": pack_sequence([zeros(5, 4)])},
        ValueError,
        "input: expected shape (T, B, I=3), got (5, 1, 4); the last dimension holds the input_size features of a step",
    ),
    "packed dtype": (
        {"dtype": torch.float64},
        {"input": pack_sequence([zeros(5, 3)])},
        TypeError,
        "input: expected torch.float64 as the layer's parameters, got torch.float32; "
        "convert one of them, for example with input.to(torch.float64)",
    ),
}


@pytest.mark.parametrize("wrong", FORWARD)
def test_forward_and_backend_for_raise(wrong: str):
    options, arguments, exception, message = FORWARD[wrong]
    layer = gatewise.Recurrent(**{"cell": "gru_cudnn", "input_size": 3, "hidden_size": 4, **options})
    with pytest.raises(exception) as caught:
        layer(**arguments)
    assert type(caught.value) is exception
    assert str(caught.value) == message
    if not wrong.startswith("packed") or wrong in ("packed width", "packed dtype"):
        with pytest.raises(exception, match=re.escape(message)):
            layer.backend_for(**arguments)


STEP: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = {
    "bidirectional": (
        {"bidirectional": True},
        {"x_t": zeros(2, 3)},
        ValueError,
        "step: this layer reads from the end (bidirectional or reverse) and cannot run step by step",
    ),
    "a sequence": (
        {},
        {"x_t": SEQUENCE},
        ValueError,
        "x_t: expected a tensor of shape (B, I) or (I,), got (5, 2, 3); sequences go to forward",
    ),
    "no tensor": (
        {},
        {"x_t": [1.0, 2.0, 3.0]},
        ValueError,
        "x_t: expected a tensor of shape (B, I) or (I,), got list; sequences go to forward",
    ),
    "width of the state": (
        {},
        {"x_t": zeros(2, 3), "state": zeros(1, 2, 3)},
        ValueError,
        "hx: expected shape (D*L=1, B=2, H=4), got (1, 2, 3); "
        "a state has a row per layer and direction, also with batch_first, and a batch as the input has",
    ),
    "reset is not bool": (
        {},
        {"x_t": zeros(2, 3), "reset": zeros(2)},
        TypeError,
        "reset: expected torch.bool, got torch.float32; pass reset.bool() if nonzero means a boundary",
    ),
}


@pytest.mark.parametrize("wrong", STEP)
def test_step_raises(wrong: str):
    options, arguments, exception, message = STEP[wrong]
    layer = gatewise.Recurrent("gru_cudnn", 3, 4, **options)
    with pytest.raises(exception) as caught:
        layer.step(**arguments)
    assert type(caught.value) is exception
    assert str(caught.value) == message


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape", [(3,), (1, 2)], ids=str)
def test_step_raises_for_flags_of_the_wrong_shape(shape: tuple[int, ...], batch_first: bool):
    layer = gatewise.Recurrent("gru_cudnn", 3, 4, batch_first=batch_first)
    with pytest.raises(ValueError, match=r"reset: expected shape \(.*\), got"):
        layer.step(zeros(2, 3), reset=flags(*shape))


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.int64], ids=str)
def test_lengths_are_integers_of_any_kind_tensor_or_sequence(kind: torch.dtype):
    layer = gatewise.LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    expected = layer(x, lengths=torch.tensor([5, 2]))[0]
    for lengths in (torch.tensor([5, 2], dtype=kind), [5, 2], (5, 2)):
        assert torch.equal(layer(x, lengths=lengths)[0], expected)
    assert layer(x[:, :0], lengths=[])[0].shape == (5, 0, 4)
