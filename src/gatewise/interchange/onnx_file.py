"""ONNX models, of which the weights of the recurrent nodes are read."""

from pathlib import Path

from torch import Tensor

from gatewise.extras import installed, require
from gatewise.interchange.formats import WeightsReader
from gatewise.interchange.identity import of_layers
from gatewise.interchange.onnx import from_onnx


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


FORMAT = WeightsReader(recognises, read)
