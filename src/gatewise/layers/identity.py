"""Which cell weights are of, in the ``_metadata`` of a state dict, and the check of it on loading.

The cell of weights cannot be inferred from their shapes: three forms of the GRU have the same ones, and so has a cell
whose gates are stacked in another order. The identity is metadata alone, so the keys of a state dict are those of
`torch.nn`, in both directions.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypedDict

import torch
from torch import Tensor

from gatewise.cells import lookup
from gatewise.compiler import without_bias
from gatewise.equations import Cell
from gatewise.equations.normal_form import normal_form

METADATA_KEY = "gatewise"
"""The key of the identity in a module's metadata."""

TORCH_MODES = {
    "rnn_tanh": "RNN_TANH",
    "rnn_relu": "RNN_RELU",
    "lstm": "LSTM",
    "lstm_projected": "LSTM",
    "gru_cudnn": "GRU",
}
"""The modes of `torch.nn.RNNBase`, by cell."""
# Wrappers that remove their prefix from the keys of a state dict, but not from its metadata.
_TRANSPARENT = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")


class Identity(TypedDict):
    """The cell of a layer's weights, as plain values.

    Attributes:
        cell: its name.
        equations: the canonical text of its equations.
        gates: the order in which the tensors stack the gates.
    """

    cell: str
    equations: str
    gates: list[str]


@cache
def _torch_cells() -> dict[tuple[str, tuple[str, ...]], str]:
    """The modes of torch.nn by equations and gate order."""
    found: dict[tuple[str, tuple[str, ...]], str] = {}
    for name, mode in TORCH_MODES.items():
        for cell in (lookup(name), without_bias(lookup(name))):
            found[normal_form(cell), cell.gates] = mode
    return found


def torch_mode(cell: Cell) -> str | None:
    """The ``mode`` of `torch.nn.RNNBase` that computes a cell from the same layout of weights; None if there is none.

    >>> torch_mode(lookup("gru_cudnn")), torch_mode(lookup("gru_cho2014"))
    ('GRU', None)
    """
    return _torch_cells().get((normal_form(cell), cell.gates))


def identity_of(cell: Cell, gates: Sequence[str] | None = None) -> Identity:
    """The identity of weights of a cell, with the gates in its own order or in another.

    Raises:
        ValueError: when ``gates`` are not those of the cell.
    """
    order = list(cell.gates if gates is None else gates)
    if sorted(order) != sorted(cell.gates):
        raise ValueError(
            f"gates: expected the gates of the cell {cell.name} in some order ({_listed(cell.gates)}), "
            f"got {_listed(order)}"
        )
    return Identity(cell=cell.name, equations=cell.equations, gates=order)


def write_identity(destination: Mapping[str, Any], prefix: str, cell: Cell) -> None:
    """Add the identity of a module with this prefix to the metadata of a state dict, if it has metadata."""
    metadata: MutableMapping[str, Any] | None = getattr(destination, "_metadata", None)
    if metadata is None:
        return
    path = prefix.removesuffix(".")
    visible = prefix
    for wrapper in _TRANSPARENT:
        visible = visible.replace(wrapper, "")
    for key in {path, visible.removesuffix(".")}:
        metadata.setdefault(key, {})[METADATA_KEY] = identity_of(cell)


def read_identity(metadata: Mapping[str, Any]) -> tuple[Cell, tuple[str, ...]] | None:
    """The cell and the gate order in a module's metadata; None if it has no identity.

    Raises:
        ValueError: for an identity that is malformed or of a later version.
    """
    found = metadata.get(METADATA_KEY)
    if found is None:
        return None
    try:
        name, equations, gates = found["cell"], found["equations"], tuple(found["gates"])
        if not isinstance(name, str) or not isinstance(equations, str):
            raise TypeError("expected text")
        cell = replace(Cell.from_equations(equations), name=name)
        identity_of(cell, gates)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the identity of the weights (their cell and gate order) is malformed: {error}") from None
    return cell, gates


def stored_gates(cell: Cell, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The order in which weights to be loaded into a layer of this cell stack its gates.

    Weights without an identity have torch's if torch has the cell.

    Args:
        cell: the cell of the layer.
        metadata: of the module in the state dict.

    Raises:
        ValueError: when the weights are of another cell, or theirs is not recorded and torch has no such cell.
    """
    found = read_identity(metadata)
    if found is None:
        if torch_mode(cell) is not None:
            return cell.gates
        raise ValueError(
            f"these weights do not say of which cell they are (_metadata is lost where a state dict is copied into a "
            f"new dict), and torch.nn does not have the layer's, {described(cell)}; other cells have the same shapes. "
            f"If they are of this cell, load gatewise.interchange.declare(state_dict, {cell.name!r}, "
            f"gates={list(cell.gates)!r})"
        )
    stored, gates = found
    if normal_form(stored) != normal_form(cell):
        raise ValueError(
            f"these weights are of the cell {described(stored, gates)}, and the layer's is {described(cell)}: "
            "another function. Make a layer of that cell; or if the weights are not of it, say so by "
            "gatewise.interchange.declare"
        )
    return gates


def described(cell: Cell, gates: Sequence[str] | None = None) -> str:
    """A cell in an error: its name, the beginning of the hash of its equations, its parameters and gate order."""
    order = cell.gates if gates is None else gates
    of_gates = f", gates {_listed(order)}" if order else ""
    return f"{cell.name} (equations {normal_form(cell)[:12]}, parameters {_listed(cell.groups)}{of_gates})"


def reorder_gates(cell: Cell, group: str, tensor: Tensor, gates: Sequence[str]) -> Tensor:
    """A stacked tensor of a group, whose gates are in the order ``gates``, in the cell's own order."""
    blocks = cell.gates_of(group)
    stored = [gate for gate in gates if gate in blocks]
    if blocks == (None,) or tuple(stored) == blocks or tensor.shape[0] % len(blocks):
        return tensor  # a tensor of another shape is torch's to report
    parts = dict(zip(stored, tensor.chunk(len(blocks)), strict=True))
    return torch.cat([parts[str(gate)] for gate in blocks])


def _listed(names: Sequence[str]) -> str:
    return " ".join(names) or "none"
