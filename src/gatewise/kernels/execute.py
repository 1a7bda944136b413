"""Execute a call: `run` chooses a backend; `run_on_cpu` skips the choice for calls known to run on the CPU engine."""

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor, peek_interpreter_stack
from torch.autograd import forward_ad

from gatewise.kernels import aten, operators, reference
from gatewise.kernels.call import Call
from gatewise.kernels.choice import FASTEST, Choice
from gatewise.kernels.dispatch import check_backend_name, choose
from gatewise.kernels.gradient import run_differentiable
from gatewise.kernels.observers import COMPILED
from gatewise.kernels.plain import PLAIN_TYPES, plain
from gatewise.kernels.tracing import is_jit_traced, is_traced
from gatewise.kernels.weight_drop import dropped, followed, with_dropped_weights

_TRANSFORMED = "torch.func transforms and forward-mode derivatives are followed through the reference alone"


def run(call: Call, *, backend: str = "auto") -> tuple[Tensor, tuple[Tensor, ...]]:
    """Compute one layer over a sequence.

    Args:
        call: cell, tensors, lengths, resets and directions.
        backend: ``auto``, or ``cpu``, ``torch`` or ``reference`` by name.

    Returns:
        Output (T, B, D·H), directions side by side, and the final states, each (D, B, H), with the `Call.sequences`.

    Raises:
        ValueError: when lengths are out of range, the named backend cannot run the call, or a watched call
            goes through a compiler or a transform.
    """
    compiling = torch.compiler.is_compiling()
    if call.masks is not None and call.masks.weight_drop:
        call = _with_dropped_weights(call, compiling)
    if call.precision == "int8" and (compiling or _through_operators(call) or _transformed(call)):
        raise ValueError(
            "layer.frozen(precision='int8'): expected plain calls in inference, got one inside of "
            "torch.compile, an export or a transform of torch.func; leave the layer unfrozen there"
        )
    if compiling and _inside_a_transform():
        torch._dynamo.graph_break(msg=f"{_TRANSFORMED}, outside of torch.compile")
    elif compiling or _through_operators(call):
        if call.record is not None:
            raise ValueError(COMPILED)
        if is_jit_traced() or _in_onnx_export():
            # Such programs must also run without gatewise.
            if backend in ("auto", "torch") and aten.is_traceable(call):
                return aten.forward(call, False)[:2]
            if _in_onnx_export():
                return reference.forward(call, False)[:2]
        masks = call.all_masks
        output, finals = operators.recurrent(
            call.x,
            call.with_states().initial,
            call.parameters,
            call.lengths,
            call.reset,
            masks.seed,
            call.cell.text,
            call.directions,
            masks.text,
            call.sequences,
            call.precision,
            backend,
            call.checkpoint_every,
        )
        return output, tuple(finals)
    if not _transformed(call):
        call = plain(call)
    choice = backend_for(call, backend=backend)
    if call.checkpoint_every is not None and _transformed(call):
        call.checkpoint_every = None  # transforms decide themselves what they save
    if call.record is None:
        return run_differentiable(call, choice.name)
    return _recorded(call, choice)


def run_on_cpu(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Compute one layer of plain CPU tensors, which `cpu.runs`, as `run` does."""
    if call.masks is not None and call.masks.weight_drop:
        call = with_dropped_weights(call, dropped)
    if call.record is None:
        return run_differentiable(call, "cpu")
    return _recorded(call, Choice("cpu", FASTEST))


def _recorded(call: Call, choice: Choice) -> tuple[Tensor, tuple[Tensor, ...]]:
    assert call.record is not None
    call.record.begin(call, choice)
    output, finals = run_differentiable(call, choice.name)
    call.record.end(output)
    return output, finals


def backend_for(call: Call, *, backend: str = "auto") -> Choice:
    """The backend that runs a call, and why.

    Raises:
        ValueError: as `run`.
    """
    if _transformed(call):
        if call.record is not None:
            raise ValueError(COMPILED)
        check_backend_name(backend)
        if backend not in ("auto", "reference"):
            raise ValueError(
                f"backend {backend!r} was asked for by name and cannot run this call: {_TRANSFORMED}; "
                "use backend='auto'"
            )
        return Choice("reference", _TRANSFORMED)
    call.check_values()
    return choose(call, backend)


def _with_dropped_weights(call: Call, compiling: bool) -> Call:
    if compiling:
        return with_dropped_weights(call, followed if _inside_a_transform() else operators.dropped)
    if _transformed(call) or is_jit_traced() or _in_onnx_export():
        return with_dropped_weights(call, followed)
    return with_dropped_weights(call, operators.dropped if _through_operators(call) else dropped)


def _through_operators(call: Call) -> bool:
    """Whether a compiler or trace must see a single operator."""
    if not all(type(tensor) in PLAIN_TYPES for tensor in call.tensors):
        return True
    return is_traced() and not _transformed(call)


def _in_onnx_export() -> bool:
    # Dynamo never exports to ONNX, and cannot trace this check.
    return not torch.compiler.is_dynamo_compiling() and torch.onnx.is_in_onnx_export()


def _transformed(call: Call) -> bool:
    """Whether a torch.func transform or forward-mode differentiation is active for the call."""
    if _inside_a_transform():  # also of other tensors: autograd functions of one's own cannot be traced there
        return True
    return any(is_functorch_wrapped_tensor(tensor) for tensor in call.tensors) or (
        forward_ad._current_level >= 0
        and any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in call.tensors)
    )


def _inside_a_transform() -> bool:
    return peek_interpreter_stack() is not None


# As torch.compiler.assume_constant_result, which would import the compiler for everyone.
setattr(_inside_a_transform, "_dynamo_marked_constant", True)  # noqa: B010
