"""What is kept between forward and backward: little, for one backward pass, and nothing without gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.cells import names
from gatewise.kernels import Call, reference
from tests.kernels.calls import call_of, flat, on_engine
from tests.kernels.cpu.workspaces import Counted
from tests.kernels.engine import needs_engine

pytestmark = needs_engine

# Numbers per unit and step, the output included.
MOST = {
    "lstm_layer_norm_per_gate": 6.5,
    "lstm_layer_norm": 10.5,
    "gru_layer_norm": 7.5,
    "rnn": 2,
    "gru": 5,
    "lstm": 6,
    "peephole": 6,
}
STEPS, BATCH, HIDDEN = 20, 6, 32


def large(cell: str, directions: Any = "forward", **options: Any) -> Call:
    return call_of(cell, directions, steps=STEPS, batch=BATCH, hidden_size=HIDDEN, **options)


def most_bytes(call: Call) -> int:
    """What may be kept: by the valid steps, but for the output, which has them all."""
    most = next(most for name, most in MOST.items() if call.cell.name.startswith(name))
    valid = STEPS * BATCH if call.lengths is None else int(call.lengths.sum())
    return (STEPS * BATCH + (most - 1) * valid) * HIDDEN * call.direction_count * call.x.element_size()


def bytes_of(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize(
    "options", [{}, {"reset": True}, {"lengths": [20, 2, 2, 2, 0, 2]}, {"dtype": torch.float32}], ids=str
)
@pytest.mark.parametrize("directions", ["forward", "bidirectional"])
@pytest.mark.parametrize("cell", [name for name in names() if name.startswith(tuple(MOST))])
def test_numbers_per_unit_and_step(cell: str, directions: Any, options: dict[str, Any]):
    call = large(cell, directions, **options)
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with Counted() as pool:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            results = flat(on_engine(call))
        for tensor in call.tensors:
            saved.pop(tensor.untyped_storage().data_ptr(), None)
        # Nothing hides from autograd, and nothing is in use but what it keeps.
        output = results[0]
        assert sum(saved.values()) + bytes_of(*results[1:]) == pool.bytes_in_use
        assert sum(saved.values()) <= most_bytes(call)
        gradients = torch.autograd.grad(results, call.tensors, results, materialize_grads=True)
        del results, gradients
        assert pool.bytes_in_use == bytes_of(output)
        del output
        assert pool.bytes_in_use == 0


@pytest.mark.parametrize("options", [{}, {"lengths": [20, 1, 20, 0, 7, 9], "reset": True}], ids=["", "ragged"])
@pytest.mark.parametrize("cell", names())
def test_inference_keeps_its_results_alone(cell: str, options: dict[str, Any]):
    for call, gradients in ((large(cell, **options), False), (large(cell, requires_grad=False, **options), True)):
        with Counted() as pool, torch.set_grad_enabled(gradients):
            results = flat(on_engine(call))
            assert pool.bytes_in_use == bytes_of(*results)
            assert all(result.grad_fn is None for result in results)


def test_a_second_derivative_keeps_no_more(monkeypatch: pytest.MonkeyPatch):
    """It is the reference's, computed from the arguments."""
    call = large("lstm")
    output = flat(on_engine(call))[0]
    ran: list[Call] = []
    original = reference.forward
    monkeypatch.setattr(reference, "forward", lambda call, save: ran.append(call) or original(call, save))
    (first,) = torch.autograd.grad(output.sum(), call.x, create_graph=True)
    assert len(ran) == 1
    torch.autograd.grad(first.square().sum(), call.parameters)


def test_saved_tensors_are_asked_for_once():
    """torch.utils.checkpoint rejects a second time."""
    taken: list[int] = []

    def give(tensor: Tensor) -> Tensor:
        taken.append(id(tensor))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, give):
        output = flat(on_engine(large("lstm")))[0]
    output.sum().backward()
    assert len(taken) == 1 + 2 + 4 + 2  # x, states, groups; output, and values with the second state


def test_an_output_that_was_written_to_is_noticed():
    layer = gatewise.LSTM(3, 4, backend="cpu")
    output, _ = layer(torch.randn(5, 2, 3))
    with torch.no_grad():
        output.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()
