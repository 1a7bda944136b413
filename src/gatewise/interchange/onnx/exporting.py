"""Modules as models of ONNX, by torch's exporter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

from torch import nn

from gatewise.extras import require
from gatewise.writing import as_path, check_writable

_OPSETS = range(18, 24)
DEFAULT_OPSET: Final = _OPSETS[0]

Translations: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]
"""By operator of torch the function that makes its nodes, as ``custom_translation_table`` of `torch.onnx.export`."""


@dataclass(frozen=True)
class ExportedLayer:
    """A recurrent layer of a module, and the node of ONNX that it has become.

    Attributes:
        path: of the layer in the module; for one of several layers of a stack ending in ``.l0``, ``.l1`` and so on.
        cell: the name of its cell.
        node: the operator, direction, and the form where it is not the default; ``Scan`` for a loop of the equations.
        name: of the node in the model.
    """

    path: str
    cell: str
    node: str
    name: str


@dataclass(frozen=True)
class OnnxExport:
    """What `to_onnx` has written; prints as a table.

    Attributes:
        path: the file.
        layers: the recurrent layers and their nodes, in the order of the graph.
        inputs: the shapes of the model's inputs by name; an open size is the name of a variable.
        outputs: the names of the model's outputs.
        largest_difference: between ONNX Runtime and the module on random input, relative to values above 1.
    """

    path: Path
    layers: tuple[ExportedLayer, ...]
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: tuple[str, ...]
    largest_difference: float

    def __str__(self) -> str:
        rows = [("layer", "cell", "node"), *((one.path or "(the module)", one.cell, one.node) for one in self.layers)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        inputs = [f"{name} ({', '.join(str(size) for size in shape)})" for name, shape in self.inputs.items()]
        lines.append(f"inputs: {', '.join(inputs)}; outputs: {', '.join(self.outputs)}")
        error = f"largest error {self.largest_difference:.1e}, relative above 1"
        lines.append(f"equal to the module in ONNX Runtime on random input: {error}")
        return "\n".join(lines)


def check_opset(opset: int) -> int:
    """The version of ONNX's operators, if models can be written in it.

    Raises:
        ValueError: when they cannot.
    """
    if opset not in _OPSETS:
        raise ValueError(f"opset: expected {_OPSETS[0]} to {_OPSETS[-1]}, got {opset}")
    return opset


def to_onnx(
    module: nn.Module,
    args: tuple[Any, ...],
    path: "str | PathLike[str]",
    *,
    kwargs: Mapping[str, Any] | None = None,
    opset: int = DEFAULT_OPSET,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    size_names: Mapping[str, Sequence[str | int | None]] | None = None,
    metadata: Mapping[str, str] | None = None,
    streaming: bool = False,
    translations: Translations | None = None,
) -> OnnxExport:
    """Write a module as a model of ONNX, with nodes RNN, GRU, LSTM and Scan for its recurrent layers.

    A layer becomes one of ONNX's operators where that computes its cell; otherwise, in a call with ``reset=`` and in
    float64 a Scan, a loop whose body is the cell's equations.

    The module is any that `torch.export` takes, in eval mode (its own mode is kept). Every size that it does not fix,
    such as batch and time, is open in the model, except sizes of 1 in ``args``. The model is checked by
    `onnx.checker` and run in ONNX Runtime beside the module, on random input of the sizes of ``args`` and of two
    others, before the file is written.

    Args:
        module: such as a `gatewise.LSTM`, or a model with several.
        args: positional arguments of a call; tensors become inputs of the model, anything else is constant.
        path: the file to write.
        kwargs: keyword arguments of that call, such as ``{"lengths": lengths}``.
        opset: version of ONNX's operators, 18 to 23.
        input_names: of the tensors in ``args`` and then ``kwargs``; by default the names of the arguments.
        output_names: by default ``output``, ``output_1`` and so on; states come after the output.
        size_names: of open sizes, for inputs by name: ``{"words": ("steps", "rows")}``; by default those of the
            exporter, such as ``s77`` (None). A size with a name must be open, one with a number is fixed.
        metadata: texts by name that the model holds besides.
        streaming: export one step with explicit states: the method ``step(x_t, state) -> (output, new state)`` of the
            module, which layers and `Stack` have; your own modules may define it. ``args`` is ``(x_t,)`` or
            ``(x_t, state)``. The states are inputs, by default named ``state``, or ``state_0`` and so on, and outputs,
            named ``new_state``; begin with zeros.
        translations: how operators of your own become nodes: by operator, such as ``torch.ops.mine.scale.default``, a
            function written with onnxscript, as in ``custom_translation_table`` of `torch.onnx.export`.

    Returns:
        The layers and their nodes, and the largest difference.

    Raises:
        ValueError: for a module that ONNX or torch's exporter cannot express, naming the layer, or one that computes
            something else in ONNX Runtime; no file is written then.
        OSError: when the file cannot be written.
        MissingExtraError: when onnx, onnxruntime or onnxscript is not installed.

    >>> import tempfile, torch, gatewise
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = to_onnx(gatewise.GRU(3, 4), (torch.randn(7, 2, 3),), f"{folder}/gru.onnx")
    >>> written.layers[0].node
    'GRU forward, linear_before_reset=1'
    """
    require("gatewise.to_onnx", "onnx")
    if not isinstance(module, nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    if not isinstance(args, tuple):
        raise TypeError(f"args: expected a tuple of the arguments of a call, got {type(args).__name__}")
    check_opset(opset)
    target = as_path("path", path)
    check_writable(target)
    from gatewise.interchange.onnx.modules import export_module

    return export_module(
        module,
        args,
        dict(kwargs or {}),
        target,
        opset,
        input_names,
        output_names,
        size_names or {},
        metadata,
        streaming,
        translations or {},
    )
