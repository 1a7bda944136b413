"""Weights of Flax's recurrent cells (nnx), in and out: nested dictionaries of arrays, without Flax or JAX.

Kernels are (I, gates·H) and (H, gates·H), our matrices transposed, with the gates in our order. Each sum of two
products has one bias.
"""

from collections.abc import Iterator, Mapping
from typing import Any

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

# By the number of gates in the kernels of a cell with the layers dense_i and dense_h: our cell, and which has the bias.
_DENSE = {1: ("rnn_tanh", "dense_i"), 3: ("gru_cudnn", "dense_i"), 4: ("lstm", "dense_h")}
_GATES = ("i", "f", "g", "o")
_OF_LSTM_CELL = tuple(f"{source}{gate}" + "_" * (source + gate == "if") for source in "ih" for gate in _GATES)
_DIRECTIONS = ("forward_rnn", "backward_rnn")


def from_flax(tree: Mapping[str, Any]) -> dict[str, Recurrent]:
    """The layers that compute what Flax's recurrent cells do, from their weights; Flax need not be installed.

    `flax.nnx.LSTMCell`, `OptimizedLSTMCell`, `GRUCell` and `SimpleCell` are read, alone or in `flax.nnx.RNN` and
    `Bidirectional`. What is not in weights has Flax's defaults: tanh and sigmoid, no residual connection, one direction
    from the beginning, two concatenated. The layers are ``batch_first``. Flax's carry of an LSTM is (c, h), our state
    (h, c).

    Args:
        tree: nested dictionaries of arrays, such as ``nnx.to_pure_dict(nnx.state(model, nnx.Param))``; what is in it
            besides is ignored.

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
            "tree: no recurrent cell in it; expected dense_i and dense_h (OptimizedLSTMCell, GRUCell, SimpleCell) or "
            f"{', '.join(_OF_LSTM_CELL)} (LSTMCell)"
        )
    return layers


def to_flax(layer: Recurrent) -> list[Tree]:
    """The weights of a layer for Flax's recurrent cells, as nested dictionaries of copies.

    They are those of `flax.nnx.RNN` of an `OptimizedLSTMCell`, a `GRUCell` or a `SimpleCell`, or of `Bidirectional` of
    these, which ``nnx.update(module, tree)`` takes. Where Flax has one bias and the layer two, it gets their sum.

    Args:
        layer: `RNN` (tanh), `LSTM`, or `GRU` (``variant="cudnn"``) whose candidate has no recurrent bias.

    Returns:
        A tree for each of `num_layers`.

    Raises:
        TypeError: for another module.
        ValueError: for what Flax's cells do not have: other cells, and a recurrent bias of the GRU's candidate.

    >>> import gatewise
    >>> (tree,) = gatewise.to_flax(gatewise.LSTM(3, 4))
    >>> tree["cell"]["dense_h"]["kernel"].shape
    (4, 16)
    """
    if not isinstance(layer, Recurrent):
        raise TypeError(f"to_flax: expected a recurrent layer of gatewise, got {type(layer).__name__}")
    cells = [_cell_tree(layer.cell, parameters) for parameters in layer.all_weights]
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
    return isinstance(tree, Mapping) and any(
        all(isinstance(tree.get(name), Mapping) for name in names) for names in (("dense_i", "dense_h"), _OF_LSTM_CELL)
    )


def _layer(cells: list[Any]) -> Recurrent:
    """A layer with the weights of one cell, or of the cells of both directions."""
    found = [_weights(tree) for tree in cells]
    (name, kernel, recurrent, _), (other, *others) = found[0], found[-1]
    if other != name or others[0].shape != kernel.shape or others[1].shape != recurrent.shape:
        raise ValueError("backward_rnn: expected a cell and sizes as of forward_rnn")
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
        for parameters, (_, own, of_state, bias) in zip(layer.all_weights, found, strict=True):
            by_group: dict[str, Tensor] = {"W": own.T, "R": of_state.T, "b": bias}
            for group, parameter in zip(cell.groups, parameters, strict=True):
                # d is the GRU's recurrent bias of the candidate, which Flax does not have.
                parameter.copy_(by_group.get(group, torch.zeros(())))
    return layer


def _weights(tree: Mapping[str, Any]) -> tuple[str, Tensor, Tensor, Tensor]:
    """Our cell, the kernels (I, gates·H) and (H, gates·H), and the bias (gates·H) of a cell.

    Raises:
        ValueError: for arrays that are missing, or of other shapes.
    """
    if "dense_i" in tree:
        kernel, recurrent = (_array(tree, name, "kernel", 2) for name in ("dense_i", "dense_h"))
        gates = recurrent.shape[1] // max(1, recurrent.shape[0])
        if gates not in _DENSE:
            raise ValueError(f"dense_h: expected a kernel (H, H), (H, 3·H) or (H, 4·H), got {tuple(recurrent.shape)}")
        name, with_bias = _DENSE[gates]
        bias = _array(tree, with_bias, "bias", 1)
    else:
        name, gates = "lstm", 4
        kernel, recurrent = (
            torch.cat([_array(tree, one, "kernel", 2) for one in part], dim=1)
            for part in (_OF_LSTM_CELL[:4], _OF_LSTM_CELL[4:])
        )
        bias = torch.cat([_array(tree, one, "bias", 1) for one in _OF_LSTM_CELL[4:]])
    width = gates * recurrent.shape[0]
    if kernel.shape[1] != width or recurrent.shape[1] != width or bias.shape[0] != width or not kernel.shape[0]:
        shapes = ", ".join(str(tuple(one.shape)) for one in (kernel, recurrent, bias))
        raise ValueError(f"expected kernels (I, {gates}·H) and (H, {gates}·H) and a bias ({gates}·H,), got {shapes}")
    if not kernel.dtype == recurrent.dtype == bias.dtype:
        raise ValueError(f"expected one type, got {kernel.dtype}, {recurrent.dtype}, {bias.dtype}")
    return name, kernel, recurrent, bias


def _array(tree: Mapping[str, Any], layer: str, name: str, dimensions: int) -> Tensor:
    value = tree[layer].get(name)
    array = None if value is None or isinstance(value, Mapping) else np.asarray(value)
    if array is None or array.ndim != dimensions:
        found = "nothing" if array is None else f"an array of shape {array.shape}"
        raise ValueError(f"{layer}.{name}: expected an array of {dimensions} dimensions, got {found}")
    return weight_tensor(f"{layer}.{name}", array)


def _cell_tree(cell: Cell, parameters: list[torch.nn.Parameter]) -> Tree:
    name, with_bias = _counterpart(cell)
    gates = cell.gates or (None,)
    blocks = blocks_of(cell, [one.detach().cpu() for one in parameters])
    kernel, recurrent, (bias, other) = weights_from_blocks(
        Kind(name, gates, ()), blocks, use_bias=True, two_biases=True
    )
    if name == "gru_cudnn" and other[-len(recurrent) :].any():
        raise ValueError("to_flax: Flax's GRUCell has no recurrent bias of the candidate; expected d.n of zeros")
    tree: Tree = {"dense_i": {"kernel": kernel}, "dense_h": {"kernel": recurrent}}
    tree[with_bias]["bias"] = bias + other
    return tree


def _counterpart(cell: Cell) -> tuple[str, str]:
    """Our name of the cell of Flax that computes a cell, and which of its layers has the bias.

    Raises:
        ValueError: when there is none.
    """
    for name, with_bias in _DENSE.values():
        plain = lookup(name)
        forms = [normal_form(form) for form in (plain, with_single_bias(plain))]
        if cell.gates == plain.gates and normal_form(cell) in forms:
            return name, with_bias
    raise ValueError(f"to_flax: Flax does not have its cell, {described(cell)}")
