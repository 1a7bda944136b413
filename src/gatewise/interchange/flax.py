"""Weights of Flax's recurrent cells (nnx and linen), in and out: nested dictionaries of arrays, without Flax or JAX.

Kernels are (I, gates·H) and (H, gates·H), our matrices transposed, with the gates in our order, or divided into those
of the gates. Each sum of two products has one bias.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from gatewise.cells import lookup
from gatewise.compiler import with_single_bias
from gatewise.equations import Cell
from gatewise.equations.normal_form import normal_form
from gatewise.interchange.keras.conventions import Kind
from gatewise.interchange.keras.weights import weights_from_blocks
from gatewise.interchange.onnx.directions import layer_of
from gatewise.interchange.onnx.weights import blocks_of, weight_tensor
from gatewise.layers import Recurrent
from gatewise.layers.identity import described

Tree = dict[str, Any]
Api = Literal["nnx", "linen"]


@dataclass(frozen=True)
class _Layout:
    """The dense layers of a cell of Flax, and what they are here.

    Attributes:
        cell: the name of our cell.
        of_input, of_state: the layers whose kernels side by side are W and R, transposed.
        b: the layers whose biases one after the other are b.
        d: the layer whose bias is the recurrent one of the candidate; empty if there is none.
    """

    cell: str
    of_input: tuple[str, ...]
    of_state: tuple[str, ...]
    b: tuple[str, ...]
    d: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All of the layers."""
        return self.of_input + self.of_state


def _of_gates(*gates: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(f"i{gate}" for gate in gates), tuple(f"h{gate}" for gate in gates)


# By the number of gates in the kernels.
_DENSE = {
    1: _Layout("rnn_tanh", ("dense_i",), ("dense_h",), b=("dense_i",)),
    3: _Layout("gru_cudnn", ("dense_i",), ("dense_h",), b=("dense_i",)),
    4: _Layout("lstm", ("dense_i",), ("dense_h",), b=("dense_h",)),
}
_LSTM, _GRU = _of_gates(*"ifgo"), _of_gates(*"rzn")
_LINEN = (
    _Layout("lstm", *_LSTM, b=_LSTM[1]),
    _Layout("gru_cudnn", *_GRU, b=_GRU[0], d="hn"),
    _Layout("rnn_tanh", ("i",), ("h",), b=("i",)),
)
_LSTM_CELL_OF_NNX = _Layout("lstm", ("ii", "if_", "ig", "io"), _LSTM[1], b=_LSTM[1])
_DIRECTIONS = ("forward_rnn", "backward_rnn")


def from_flax(tree: Mapping[str, Any]) -> dict[str, Recurrent]:
    """The layers that compute what Flax's recurrent cells do, from their weights; Flax need not be installed.

    `LSTMCell`, `OptimizedLSTMCell`, `GRUCell` and `SimpleCell` of `flax.nnx` and of `flax.linen` are read, alone or in
    `RNN` and `Bidirectional`. What is not in weights has Flax's defaults: tanh and sigmoid, no residual connection, one
    direction from the beginning, two concatenated. The layers are ``batch_first``. Flax's carry of an LSTM is (c, h),
    our state (h, c).

    Args:
        tree: nested dictionaries of arrays, such as ``nnx.to_pure_dict(nnx.state(model, nnx.Param))``, or
            ``model.init(key, x)`` of linen; what is in it besides is ignored.

    Returns:
        By path, joined with dots and without the final ``cell``, each layer; a cell alone has an empty path.

    Raises:
        TypeError: for something else than dictionaries of arrays.
        ValueError: naming the path, for arrays that do not fit; when there is no recurrent cell.

    >>> import numpy as np, gatewise
    >>> cell = {"dense_i": {"kernel": np.zeros((3, 16), "f")}, "dense_h": {"kernel": np.zeros((4, 16), "f")}}
    >>> cell["dense_h"]["bias"] = np.zeros(16, "f")
    >>> gatewise.from_flax({"encoder": {"cell": cell}})
    {'encoder': LSTM(lstm, 3, 4, bias='single', batch_first=True, init='torch')}
    """
    if not isinstance(tree, Mapping):
        raise TypeError(f"tree: expected nested dictionaries of arrays, got {type(tree).__name__}")
    layers = dict(_layers(tree, ()))
    if not layers:
        raise ValueError(
            "tree: no recurrent cell in it; expected dense_i and dense_h (OptimizedLSTMCell, GRUCell, SimpleCell of "
            f"nnx), or {', '.join(_LSTM_CELL_OF_NNX.names)} (its LSTMCell), or of linen "
            + " or ".join(", ".join(layout.names) for layout in _LINEN)
        )
    return layers


def to_flax(layer: Recurrent, *, api: Api = "nnx") -> list[Tree]:
    """The weights of a layer for Flax's recurrent cells, as nested dictionaries of copies.

    They are those of `RNN` of an `OptimizedLSTMCell`, a `GRUCell` or a `SimpleCell`, or of `Bidirectional` of these:
    of nnx, which ``nnx.update(module, tree)`` takes, or of linen, for ``module.apply({"params": tree}, x)``. Where Flax
    has one bias and the layer two, it gets their sum.

    Args:
        layer: `RNN` (tanh), `LSTM`, or `GRU` (``variant="cudnn"``), for nnx without a recurrent bias of the candidate.
        api: whose cells.

    Returns:
        A tree for each of `num_layers`.

    Raises:
        TypeError: for another module.
        ValueError: for what Flax's cells do not have: other cells, and in nnx a recurrent bias of the GRU's candidate.

    >>> import gatewise
    >>> (tree,) = gatewise.to_flax(gatewise.LSTM(3, 4))
    >>> tree["cell"]["dense_h"]["kernel"].shape
    (4, 16)
    >>> (tree,) = gatewise.to_flax(gatewise.LSTM(3, 4), api="linen")
    >>> list(tree["cell"]), tree["cell"]["hi"]["bias"].shape
    (['ii', 'if', 'ig', 'io', 'hi', 'hf', 'hg', 'ho'], (4,))
    """
    if not isinstance(layer, Recurrent):
        raise TypeError(f"to_flax: expected a recurrent layer of gatewise, got {type(layer).__name__}")
    if api not in get_args(Api):
        raise ValueError(f"api: expected {' or '.join(map(repr, get_args(Api)))}, got {api!r}")
    cells = [_cell_tree(layer.cell, parameters, api) for parameters in layer.all_weights]
    if not layer.bidirectional:
        return [{"cell": cell} for cell in cells]
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return [{name: {"cell": cell} for name, cell in zip(_DIRECTIONS, pair, strict=True)} for pair in pairs]


def _layers(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Recurrent]]:
    both = [_within(tree.get(name)) for name in _DIRECTIONS]
    cells = [_within(tree)] if _is_cell(_within(tree)) else both if all(map(_is_cell, both)) else []
    if cells:
        name = ".".join(path)
        try:
            yield name, _layer(cells)
        except ValueError as error:
            raise ValueError(f"{name or 'tree'}: {error}") from None
        return
    for key, part in tree.items():
        if isinstance(part, Mapping):
            yield from _layers(part, (*path, str(key)))


def _within(tree: Any) -> Any:
    """The cell of a `flax.nnx.RNN`, or the tree itself."""
    return tree["cell"] if isinstance(tree, Mapping) and "cell" in tree else tree


def _is_cell(tree: Any) -> bool:
    return isinstance(tree, Mapping) and _layout_of(tree) is not None


def _layout_of(tree: Mapping[str, Any]) -> _Layout | None:
    """The layout of a cell, of those with dense_i and dense_h the first; None for something else."""
    for layout in (_DENSE[1], _LSTM_CELL_OF_NNX, *_LINEN):
        # Layers of any model may be called i and h.
        if layout.names == ("i", "h") and tree.keys() != {"i", "h"}:
            continue
        if all(isinstance(tree.get(name), Mapping) for name in layout.names):
            return layout
    return None


def _layer(cells: list[Any]) -> Recurrent:
    """A layer with the weights of one cell, or of the cells of both directions."""
    found = [_weights(tree) for tree in cells]
    (layout, kernel, recurrent, _, _), (other, *others) = found[0], found[-1]
    if other.cell != layout.cell or others[0].shape != kernel.shape or others[1].shape != recurrent.shape:
        raise ValueError("backward_rnn: expected a cell and sizes as of forward_rnn")
    name = layout.cell
    cell = with_single_bias(lookup(name))
    layer = layer_of(
        lookup(name),
        kernel.shape[0],
        recurrent.shape[0],
        kernel.dtype,
        bias="single",
        batch_first=True,
        bidirectional=len(cells) == 2,
    )
    with torch.no_grad():
        for parameters, (_, own, of_state, bias, candidate) in zip(layer.all_weights, found, strict=True):
            by_group: dict[str, Tensor] = {"W": own.T, "R": of_state.T, "b": bias, "d": candidate}
            for group, parameter in zip(cell.groups, parameters, strict=True):
                parameter.copy_(by_group[group])
    return layer


def _weights(tree: Mapping[str, Any]) -> tuple[_Layout, Tensor, Tensor, Tensor, Tensor]:
    """The layout of a cell, its kernels (I, gates·H) and (H, gates·H), its bias (gates·H) and that of the candidate.

    The last is zero, of no dimensions, where there is none.

    Raises:
        ValueError: for arrays that are missing, or of other shapes.
    """
    layout = _layout_of(tree)
    assert layout is not None
    kernel, recurrent = (
        torch.cat([_array(tree, one, "kernel", 2) for one in part], dim=1)
        for part in (layout.of_input, layout.of_state)
    )
    gates = len(layout.of_input)
    if layout.names == _DENSE[1].names:
        gates = recurrent.shape[1] // max(1, recurrent.shape[0])
        if gates not in _DENSE:
            raise ValueError(f"dense_h: expected a kernel (H, H), (H, 3·H) or (H, 4·H), got {tuple(recurrent.shape)}")
        layout = _DENSE[gates]
    bias = torch.cat([_array(tree, one, "bias", 1) for one in layout.b])
    candidate = _array(tree, layout.d, "bias", 1) if layout.d else torch.zeros((), dtype=bias.dtype)
    width = gates * recurrent.shape[0]
    if kernel.shape[1] != width or recurrent.shape[1] != width or bias.shape[0] != width or not kernel.shape[0]:
        shapes = ", ".join(str(tuple(one.shape)) for one in (kernel, recurrent, bias))
        raise ValueError(f"expected kernels (I, {gates}·H) and (H, {gates}·H) and a bias ({gates}·H,), got {shapes}")
    if layout.d and candidate.shape[0] != recurrent.shape[0]:
        raise ValueError(f"{layout.d}.bias: expected shape (H={recurrent.shape[0]},), got {tuple(candidate.shape)}")
    if not kernel.dtype == recurrent.dtype == bias.dtype == candidate.dtype:
        raise ValueError(f"expected one type, got {kernel.dtype}, {recurrent.dtype}, {bias.dtype}")
    return layout, kernel, recurrent, bias, candidate


def _array(tree: Mapping[str, Any], layer: str, name: str, dimensions: int) -> Tensor:
    value = tree[layer].get(name)
    array = None if value is None or isinstance(value, Mapping) else np.asarray(value)
    if array is None or array.ndim != dimensions:
        found = "nothing" if array is None else f"an array of shape {array.shape}"
        raise ValueError(f"{layer}.{name}: expected an array of {dimensions} dimensions, got {found}")
    return weight_tensor(f"{layer}.{name}", array)


def _cell_tree(cell: Cell, parameters: list[torch.nn.Parameter], api: Api) -> Tree:
    layout = _counterpart(cell, api)
    gates = cell.gates or (None,)
    blocks = blocks_of(cell, [one.detach().cpu() for one in parameters])
    kernel, recurrent, (bias, other) = weights_from_blocks(
        Kind(layout.cell, gates, ()), blocks, use_bias=True, two_biases=True
    )
    tree: Tree = {
        name: {"kernel": part}
        for names, whole in ((layout.of_input, kernel), (layout.of_state, recurrent))
        for name, part in zip(names, np.split(whole, len(names), axis=1), strict=True)
    }
    if layout.cell == "gru_cudnn":
        candidate = other[-len(recurrent) :].copy()
        other[-len(recurrent) :] = -0.0
        if layout.d:
            tree[layout.d]["bias"] = candidate + 0.0
        elif candidate.any():
            raise ValueError(
                "to_flax: Flax's GRUCell of nnx has no recurrent bias of the candidate; expected d.n of zeros"
            )
    for name, part in zip(layout.b, np.split(bias + other, len(layout.b)), strict=True):
        tree[name]["bias"] = part
    return tree


def _counterpart(cell: Cell, api: Api) -> _Layout:
    """The layers of the cell of Flax that computes a cell.

    Raises:
        ValueError: when there is none.
    """
    for layout in _DENSE.values() if api == "nnx" else _LINEN:
        plain = lookup(layout.cell)
        forms = [normal_form(form) for form in (plain, with_single_bias(plain))]
        if cell.gates == plain.gates and normal_form(cell) in forms:
            return layout
    raise ValueError(f"to_flax: Flax does not have its cell, {described(cell)}")
