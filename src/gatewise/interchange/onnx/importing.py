"""ONNX's recurrent nodes as layers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor

from gatewise.extras import require
from gatewise.interchange.onnx.directions import BidirectionalPair
from gatewise.layers import Recurrent

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Layer: TypeAlias = Recurrent | BidirectionalPair
States: TypeAlias = Tensor | tuple[Tensor | None, ...] | None


@dataclass(frozen=True)
class ImportedNode:
    """A recurrent node as a layer; unpacks to ``layer, states``.

    Attributes:
        layer: `gatewise.LSTM`, `GRU`, `RNN` or `PeepholeLSTM` where the node computes one of their cells, otherwise a
            `gatewise.Recurrent` of a cell made from the node's equations; a `BidirectionalPair` where the activations
            of the two directions differ. ``batch_first`` for layout 1.
        states: the initial state as the layer takes it, where it is a constant other than zero; None for zero. Where
            an initial state is not constant, see ``inputs``: None, or for an LSTM with one constant state a tuple
            with None for the other.
        lengths: (B,) int64, sequence_lens where it is a constant, to be passed as ``lengths=``; otherwise None.
        inputs: the inputs that are not constants: the names of the values of the graph by the name of the input, such
            as ``{"X": "embedded", "initial_h": "h0"}``.
    """

    layer: Layer
    states: States
    lengths: Tensor | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.layer, self.states))


def from_onnx(
    model: "ModelProto | NodeProto | str | PathLike[str]", initializers: Mapping[str, Any] | None = None
) -> dict[str, ImportedNode]:
    """The recurrent layers of an ONNX model: its nodes RNN, GRU and LSTM, with their weights.

    Every option of the operators is supported, in every version: directions, peepholes, both forms of the GRU, lengths,
    initial states, layouts, coupled gates, clip and all activations. Weights may be computed by other nodes (Constant,
    Slice, Concat, Cast, …), may be in another file, and may be float16, bfloat16, float32 or float64. What no built-in
    cell computes becomes a cell made from the node's equations.

    Where ONNX Runtime differs from the specification, the layers compute what ONNX Runtime does, except that a row of
    length 0 keeps its initial state; see the documentation, "ONNX".

    Args:
        model: a model, the path of one, or a single node.
        initializers: constants by name, as arrays, torch tensors or tensors of ONNX: those of a single node, or more
            of a model's, whose own they replace.

    Returns:
        By name of the node, a layer and its initial states: see `ImportedNode`. A node without a name, or one of
        several with the same, has the name of its first output; one in a subgraph is
        ``node/attribute/name``, as in ``loop/body/lstm``.

    Raises:
        ValueError: for an invalid or unsupported model, naming node and attribute or input; also when it has no
            recurrent node.
        OSError: when a file cannot be read.
        MissingExtraError: when onnx is not installed.

    >>> import numpy as np
    >>> from onnx import helper
    >>> node = helper.make_node("GRU", ["x", "w", "r"], ["y"], "encoder", hidden_size=4, linear_before_reset=1)
    >>> layer, states = from_onnx(node, {"w": np.zeros((1, 12, 3), "f"), "r": np.zeros((1, 12, 4), "f")})["encoder"]
    >>> layer
    GRU(gru_cudnn, 3, 4, bias=False, init='torch')
    """
    require("gatewise.from_onnx", "onnx", "onnx")
    from gatewise.interchange.onnx.nodes import import_node
    from gatewise.interchange.onnx.reading import read_model

    try:
        found, context = read_model(model, initializers)
        return {name: ImportedNode(*import_node(one, context)) for name, one in found.items()}
    except ValueError as error:
        # The names in a model, and errors of other libraries, may have several lines.
        where = f"{model}: " if isinstance(model, str | PathLike) else ""
        raise ValueError(where + " ".join(str(error).split())) from error
