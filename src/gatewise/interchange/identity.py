"""The identity of weights outside layers: declared for a state dict, carried by the header of a file."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from gatewise.cells import lookup
from gatewise.compiler import with_single_bias, without_bias
from gatewise.equations import Cell
from gatewise.layers import Recurrent
from gatewise.layers.identity import METADATA_KEY, Identity, identity_of, read_identity
from gatewise.layers.parameters import stem_of

HEADER_KEY = "gatewise.layers"
"""The entry of a safetensors header with the identities of layers, as JSON."""


def declare(
    state_dict: Mapping[str, Tensor],
    cell: Cell | str,
    gates: Sequence[str] | None = None,
    *,
    prefix: str | None = None,
) -> dict[str, Tensor]:
    """State of which cell the recurrent weights of a state dict are, where its metadata does not have it.

    Args:
        state_dict: weights by name, as of `torch.nn`: ``weight_ih_l0`` and so on, with or without a prefix.
        cell: the cell, or the name of a built-in one. Whether it has biases follows from the names.
        gates: the order in which the tensors stack its gates; by default that of the cell.
        prefix: the path of the one layer that is meant, such as ``encoder.rnn``; by default all layers whose names and
            shapes are those of the cell. Layers that have an identity keep it.

    Returns:
        A new state dict of the same tensors, for `load_state_dict`, which checks the cell and brings the gates into
        the order of the layer.

    Raises:
        ValueError: for an unknown cell, other gates than its own, or when there are no such weights.
        TypeError: for arguments of other types.

    >>> import torch, gatewise
    >>> saved = gatewise.GRU(3, 4, variant="cho2014").state_dict()
    >>> copied = {name: weight for name, weight in saved.items()}  # its metadata is lost
    >>> layer = gatewise.GRU(3, 4, variant="cho2014")
    >>> layer.load_state_dict(gatewise.interchange.declare(copied, "gru_cho2014"))
    <All keys matched successfully>
    """
    if not isinstance(state_dict, Mapping) or not all(isinstance(name, str) for name in state_dict):
        raise TypeError(f"state_dict: expected tensors by name, got {type(state_dict).__name__}")
    cell = lookup(cell) if isinstance(cell, str) else cell
    if not isinstance(cell, Cell):
        raise TypeError(f"cell: expected a Cell or the name of one, got {type(cell).__name__}")
    if gates is not None and (isinstance(gates, str) or not isinstance(gates, Sequence)):
        raise TypeError(f"gates: expected a list of names, such as {[*cell.gates]}, got {gates!r:.60}")
    declared = identities_of(state_dict)
    found: dict[str, Identity] = {}
    for form in bias_forms(cell):
        order = None if gates is None else [gate for gate in gates if gate in form.gates or gate not in cell.gates]
        identity = identity_of(form, order)
        for path in _paths(state_dict, form):
            if prefix in (None, path) and path not in declared and path not in found:
                found[path] = identity
    if not found:
        where = "" if prefix is None else f" with the prefix {prefix!r}"
        names = ", ".join(f"{stem_of(cell, group)}_l0" for group in cell.groups)
        raise ValueError(
            f"state_dict: no weights of the cell {cell.name}{where} without an identity; expected names ending in "
            f"{names}, in the shapes of that cell"
        )
    return with_identities(state_dict, {**declared, **found})


def declare_as(
    state_dict: Mapping[str, Tensor], model: nn.Module, recorded: Mapping[str, Cell] | None = None
) -> dict[str, Tensor]:
    """A state dict whose weights are known to be of a model: each layer's have the identity of that layer.

    For files of versions that wrote no identity, beside a description of their model.

    Args:
        state_dict: the weights.
        model: the model that they are of.
        recorded: by the name of a cell of the model, that cell as it was when the weights were saved.
    """
    found: dict[str, Identity] = {}
    for path, module in model.named_modules():
        if isinstance(module, Recurrent):
            cell = module.cell
            if recorded is not None and cell.name in recorded:
                forms = [*bias_forms(recorded[cell.name])]
                cell = next((form for form in forms if form.groups == cell.groups), forms[0])
            found[path] = identity_of(cell)
    return with_identities(state_dict, {**found, **identities_of(state_dict)})


def identities_of(state_dict: Mapping[str, Tensor]) -> dict[str, Identity]:
    """The identities in the metadata of a state dict, by the path of the layer."""
    metadata: Mapping[str, Any] = getattr(state_dict, "_metadata", None) or {}
    return {path: of_path[METADATA_KEY] for path, of_path in metadata.items() if METADATA_KEY in of_path}


def with_identities(state_dict: Mapping[str, Tensor], identities: Mapping[str, Identity]) -> dict[str, Tensor]:
    """A new state dict of the same tensors, with these identities in its metadata."""
    copied: Any = OrderedDict(state_dict)  # of this class, torch.load(weights_only=True) reads it
    found: Mapping[str, Any] = getattr(state_dict, "_metadata", None) or {}
    metadata = {path: dict(of_path) for path, of_path in found.items()}
    for path, identity in identities.items():
        metadata.setdefault(path, {})[METADATA_KEY] = identity
    copied._metadata = metadata
    return copied


def of_layers(layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The weights of several layers as one state dict, by the name of each layer, with their identities."""
    weights: dict[str, Tensor] = {}
    identities: dict[str, Identity] = {}
    for name, layer in layers.items():
        state = layer.state_dict()
        weights |= {".".join(filter(None, (name, own))): weight for own, weight in state.items()}
        identities |= {".".join(filter(None, (name, path))): one for path, one in identities_of(state).items()}
    return with_identities(weights, identities)


def to_header(state_dict: Mapping[str, Tensor]) -> dict[str, str]:
    """The identities of a state dict as an entry of a safetensors header; nothing if there are none."""
    found = identities_of(state_dict)
    return {HEADER_KEY: json.dumps(found, ensure_ascii=False)} if found else {}


def from_header(header: Mapping[str, str]) -> dict[str, Identity]:
    """The identities in a safetensors header, by the path of the layer.

    Raises:
        ValueError: when they are malformed.
    """
    try:
        found: Any = json.loads(header.get(HEADER_KEY, "{}"))
        for identity in found.values():
            read_identity({METADATA_KEY: identity})
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{HEADER_KEY} in the header is malformed: {error}") from None
    return found


def bias_forms(cell: Cell) -> Iterator[Cell]:
    """The cell, with single biases, and without its biases if it can do without them."""
    yield cell
    single = with_single_bias(cell)
    if single != cell:
        yield single
    try:
        bare = without_bias(cell)
    except ValueError:
        return
    if bare != cell:
        yield bare


def _paths(state_dict: Mapping[str, Tensor], cell: Cell) -> Iterator[str]:
    """The paths of the layers whose weights have the names and shapes of the cell."""
    stems = {group: stem_of(cell, group) for group in cell.groups}
    first = stems[cell.groups[0]]
    for suffix in ("_l0", ""):  # torch.nn's layers, and its cells
        for key in state_dict:
            prefix, _, name = key.rpartition(".")
            if name == first + suffix:
                dotted = key.removesuffix(name)
                tensors = {group: state_dict.get(f"{dotted}{stem}{suffix}") for group, stem in stems.items()}
                if _fit(cell, tensors):
                    yield prefix


def _fit(cell: Cell, tensors: Mapping[str, Tensor | None]) -> bool:
    """Whether all tensors are there, in shapes of one width for each letter."""
    widths: dict[str, set[int]] = {}
    for group, tensor in tensors.items():
        is_vector, count = cell.shape_of(group) == "vector", len(cell.gates_of(group))
        if tensor is None or tensor.dim() != (1 if is_vector else 2) or tensor.shape[0] % count:
            return False
        widths.setdefault(cell.sizes.rows[group], set()).add(tensor.shape[0] // count)
        if group in cell.heads:
            widths["H"].add(tensor.shape[1] * max(1, tensor.shape[0] // count // max(1, tensor.shape[1])))
        elif not is_vector:
            widths.setdefault(cell.sizes.columns[group], set()).add(tensor.shape[1])
    return all(len(found) == 1 for found in widths.values())
