"""torch's recurrent kernels (ATen, oneDNN, cuDNN), for the calls that they compute with the same results."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise.cells import lookup
from gatewise.compiler import with_single_bias, without_bias
from gatewise.kernels.backend import Saved
from gatewise.kernels.call import Call
from gatewise.kernels.tracing import is_jit_traced

_KERNELS: dict[str, Any] = {
    "lstm": torch.lstm,
    "lstm_projected": torch.lstm,
    "gru_cudnn": torch.gru,
    "rnn_tanh": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
}
_CPU_DTYPES = (torch.float32, torch.float64)
_CUDA_DTYPES = (*_CPU_DTYPES, torch.float16, torch.bfloat16)


@lru_cache(maxsize=1)
def _functions() -> dict[str, tuple[Any, bool]]:
    """Torch's function and whether it takes biases, by the equations of the cell."""
    table = {}
    for name, function in _KERNELS.items():
        table[with_single_bias(lookup(name)).equations] = (function, True)
        table[lookup(name).equations] = (function, True)
        table[without_bias(lookup(name)).equations] = (function, False)
    return table


def refusal(call: Call) -> str | None:
    """Why torch's kernels cannot run a call, or None."""
    if call.cell.equations not in _functions():
        return f"torch has no kernel for the equations of {call.cell.name} (it has {', '.join(_KERNELS)})"
    if call.packed is not None and call.packed.precision is not None:
        return f"torch's recurrent kernels do not read weights that are frozen in {call.packed.precision}"
    if call.record is not None:
        return "the layer is watched, and torch's kernels do not show the gradients of single steps"
    if call.reset is not None:
        return "torch's kernels cannot reset the state inside a sequence"
    if call.sequences:
        return f"torch's kernels return only the last of the states {', '.join(call.cell.states[1:])}"
    device = call.x.device.type
    if device not in ("cpu", "cuda"):
        return f"torch's kernels are used on cpu and cuda, not on {device}"
    if device == "cpu" and call.x.dtype not in _CPU_DTYPES:
        return f"whether torch's CPU kernels take {_short(call.x.dtype)} depends on the processor"
    if device == "cuda" and call.x.dtype not in _CUDA_DTYPES:
        return f"torch's CUDA kernels do not take {_short(call.x.dtype)}"
    if call.x.shape[1] == 0:
        return "torch's kernels do not take an empty batch"
    if call.lengths is not None and bool((call.lengths == 0).any()):
        return "torch's PackedSequence has no row of length 0"
    return None


def is_traceable(call: Call) -> bool:
    """Whether torch's kernels run a call for all values and numbers of steps and rows."""
    return (
        call.cell.equations in _functions()
        and call.lengths is None
        and call.reset is None
        and call.record is None
        and not call.sequences
        and call.x.device.type == "cpu"
        and call.x.dtype in _CPU_DTYPES
    )


def limitation(call: Call) -> str | None:
    """See `Backend.limitation`."""
    return "torch's kernels multiply in float32 here" if call.precision == "bf16" else None


def forward(call: Call, save: bool) -> tuple[Tensor, tuple[Tensor, ...], Saved]:
    """See `Backend.forward`."""
    if call.directions == "reverse":
        output, finals, _ = forward(replace(call, x=_reversed(call.x, call.lengths), directions="forward"), save)
        return _reversed(output, call.lengths), finals, ()
    function, has_biases = _functions()[call.cell.equations]
    initial = call.with_states().initial
    states = initial[0] if len(initial) == 1 else initial
    # A trace must serve calls with and without gradients.
    train = torch.is_grad_enabled() or is_jit_traced()
    # num_layers, dropout, train, bidirectional: one layer, hence no dropout in any mode.
    options = (has_biases, 1, 0.0, train, call.directions == "bidirectional")
    steps = call.x.shape[0]
    if call.lengths is None or bool((call.lengths == steps).all()):
        output, *finals = function(call.x, states, _parameters(call), *options, False)
        return output, tuple(finals), ()
    packed = pack_padded_sequence(call.x, call.lengths.cpu(), enforce_sorted=False)
    order, restore = packed.sorted_indices, packed.unsorted_indices
    assert order is not None
    assert restore is not None
    ordered = tuple(state.index_select(1, order) for state in initial)
    data, *finals = function(
        packed.data,
        packed.batch_sizes,
        ordered[0] if len(initial) == 1 else ordered,
        _parameters(call),
        *options,
    )
    output, _ = pad_packed_sequence(PackedSequence(data, packed.batch_sizes, order, restore), total_length=steps)
    return output, tuple(final.index_select(1, restore) for final in finals), ()


def _reversed(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The steps (T, B, …) of each row from its end to its start; padding stays."""
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(x.shape[0], device=x.device)[:, None]
    index = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x.gather(0, index[..., None].expand_as(x))


def _parameters(call: Call) -> tuple[Tensor, ...]:
    """The parameters of a call with both of torch's biases, where the cell has any."""
    groups, found = call.cell.groups, list(call.parameters)
    if "b" not in groups or ("d" in groups and call.cell.gates_of("d") == call.cell.gates_of("b")):
        return call.parameters
    complete: list[Tensor] = []
    for index in range(0, len(found), len(groups)):
        own = dict(zip(groups, found[index : index + len(groups)], strict=True))
        bias, projection = own["b"], [own["V"]] if "V" in own else []
        second = own.get("d", bias[:0])  # of the last gates
        padded = functional.pad(second, (bias.shape[0] - second.shape[0], 0))
        complete += [own["W"], own["R"], bias, padded, *projection]
    return tuple(complete)


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
