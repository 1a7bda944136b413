"""ONNX models: the weights of their recurrent nodes, read and written."""

from pathlib import Path

import torch
from torch import Tensor, nn

from gatewise.extras import installed, require
from gatewise.interchange.formats import WeightsFormat
from gatewise.interchange.identity import of_layers
from gatewise.interchange.onnx import from_onnx, to_onnx
from gatewise.interchange.recorded_layers import recorded_layers
from gatewise.layers import Recurrent


def recognises(path: Path) -> bool:
    """Whether a file is an ONNX model: without a signature, it has to be parsed; or, without onnx, its name tells."""
    if not installed("onnx"):
        return path.suffix == ".onnx"
    import onnx

    try:
        return bool(onnx.load_model_from_string(path.read_bytes()).graph.node)
    except Exception:  # protobuf has errors of several classes
        return False


def read(path: Path, key: str | None) -> dict[str, Tensor]:
    """The weights of the recurrent nodes, by the name of the node; those of the node ``key`` alone without it.

    Raises:
        ValueError: as `from_onnx`; when there is no such node, or a node has an initial state, which is not a weight.
        OSError: when the file cannot be read.
        MissingExtraError: when onnx is not installed.
    """
    require("reading ONNX", "onnx", "onnx")
    found = from_onnx(path)
    if key is not None:
        if key not in found:
            raise ValueError(f"--key: {path} has no recurrent node {key!r}; it has {', '.join(map(repr, found))}")
        found = {"": found[key]}
    for name, one in found.items():
        if one.states is not None:
            raise ValueError(
                f"{path}: node {name or key!r} has constant initial states, which a file of weights does not hold; use "
                "gatewise.from_onnx"
            )
    return of_layers({name: one.layer for name, one in found.items()})


def write(path: Path, state_dict: dict[str, Tensor]) -> list[str]:
    """Write the recurrent layers as nodes, each with an input of its own; returns the names of all other weights.

    Raises:
        ValueError: as `recorded_layers` and `to_onnx`.
        MissingExtraError: when onnx, onnxruntime or onnxscript is not installed.
    """
    require("writing ONNX", "onnx")
    layers, others = recorded_layers(state_dict)
    parallel = _Parallel(layers)
    inputs = tuple(
        torch.randn(3, 2, layer.input_size, dtype=next(layer.parameters()).dtype) for layer in layers.values()
    )
    outputs = [name for path, layer in layers.items() for name in _output_names(path, layer)]
    to_onnx(parallel, inputs, path, input_names=[_dotted(path, "input") for path in layers], output_names=outputs)
    return others


class _Parallel(nn.Module):
    """Layers side by side, each of an input of its own, as submodules under their paths."""

    def __init__(self, layers: dict[str, Recurrent]) -> None:
        super().__init__()
        self.layers = tuple(layers.values())
        for path, layer in layers.items():
            *above, name = (path or "recurrent").split(".")
            parent: nn.Module = self
            for part in above:
                if part not in parent._modules:
                    parent.add_module(part, nn.Module())
                parent = parent.get_submodule(part)
            parent.add_module(name, layer)

    def forward(self, *inputs: Tensor) -> list[object]:
        """The outputs and final states of all layers."""
        return [layer(x) for layer, x in zip(self.layers, inputs, strict=True)]


def _output_names(path: str, layer: Recurrent) -> list[str]:
    return [_dotted(path, name) for name in ("output", *(f"final_{state}" for state in layer.cell.states))]


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


FORMAT = WeightsFormat(recognises, read, write)
