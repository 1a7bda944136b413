"""An exported model in ONNX Runtime beside the module that it was made of, on random input."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import ExportedProgram

TOLERANCE = 1e-5
"""Largest accepted difference, relative to values above 1; for float16 it is 4 units in the last place.

Where the module itself is further from float64 than that, ONNX Runtime may be twice as far from it as the module.
"""


def largest_difference(model: ModelProto, program: ExportedProgram, given: Sequence[Tensor], run: nn.Module) -> float:
    """The largest difference over random input of the given sizes and of others.

    Sizes that the program leaves open are those of ``given``, and larger ones; floating-point values are normal,
    integers are between the smallest and the largest of the given tensor.

    Raises:
        ValueError: when ONNX Runtime cannot run the model, or for a difference above `TOLERANCE`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has a dozen classes, without a common one
        raise ValueError(f"ONNX Runtime cannot load the model: {_line(error)}") from error
    names = [one.name for one in session.get_inputs()]
    draw, worst = torch.Generator().manual_seed(0), 0.0
    for growth in (0, 1, 3):
        inputs = [
            _random(tensor, shape, draw) for tensor, shape in zip(given, _shapes(program, given, growth), strict=True)
        ]
        with torch.no_grad():
            expected = run(*inputs)
        try:
            found = session.run(None, {name: one.cpu().numpy() for name, one in zip(names, inputs, strict=True)})
        except Exception as error:
            raise ValueError(f"ONNX Runtime cannot run the model: {_line(error)}") from error
        for index, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
            difference = _difference(ours.cpu().numpy(), np.asarray(theirs))
            limit = max(TOLERANCE, 4 * torch.finfo(ours.dtype).eps) if ours.is_floating_point() else 0.0
            if not difference <= limit and not _as_exact(run, inputs, index, ours, np.asarray(theirs)):
                sizes = ", ".join(str(tuple(one.shape)) for one in inputs)
                raise ValueError(
                    f"output {index} in ONNX Runtime differs from that of the module by {difference:.1e}, relative "
                    f"above 1, on random input of shape {sizes}; at most {limit:.0e} is accepted"
                )
            worst = max(worst, difference)
    return worst


def _as_exact(run: nn.Module, inputs: Sequence[Tensor], index: int, ours: Tensor, theirs: np.ndarray) -> bool:
    """Whether ONNX Runtime is at most twice as far from an output in float64 as the module in float32."""
    if ours.dtype != torch.float32:
        return False
    try:
        with torch.no_grad():
            exact = copy.deepcopy(run).double()(*(one.double() if one.is_floating_point() else one for one in inputs))
    except Exception:  # a module of the user's that knows one precision only
        return False
    true = exact[index].cpu().numpy()
    return _error(true, theirs) <= 2 * _error(true, ours.cpu().numpy())


def _shapes(program: ExportedProgram, given: Sequence[Tensor], growth: int) -> list[tuple[int, ...]]:
    """The shapes of the inputs with every open size larger, each by another number."""
    wanted = set(program.graph_signature.user_inputs)
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted]
    symbols = {}
    for value, tensor in zip(values, given, strict=True):
        for size, number in zip(value.shape, tensor.shape, strict=True):
            if not isinstance(size, int) and size.node.expr.is_Symbol and size.node.expr not in symbols:
                symbols[size.node.expr] = number + (growth + len(symbols) if growth else 0)
    return [
        tuple(size if isinstance(size, int) else int(size.node.expr.subs(symbols)) for size in value.shape)
        for value in values
    ]


def _random(tensor: Tensor, shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    if tensor.is_floating_point():
        return torch.randn(shape, generator=draw, dtype=tensor.dtype).to(tensor.device)
    low, high = (int(tensor.min()), int(tensor.max())) if tensor.numel() else (0, 0)
    return torch.randint(low, high + 1, shape, generator=draw).to(tensor)


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return float("inf")
    if ours.dtype.kind != "f":
        return 0.0 if np.array_equal(ours, theirs) else float("inf")
    return _error(ours, theirs)


def _error(true: np.ndarray, found: np.ndarray) -> float:
    """The largest difference of two arrays of one shape, relative to values above 1."""
    true, found = true.astype(np.float64), found.astype(np.float64)
    same = (true == found) | (np.isnan(true) & np.isnan(found))  # infinities too
    with np.errstate(invalid="ignore"):
        error = np.abs(true - found) / np.maximum(1, np.abs(true))
    return float(np.where(same, 0, error).max(initial=0.0))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
