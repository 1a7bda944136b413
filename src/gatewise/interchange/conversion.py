"""Weights from one file to another, in another format."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from gatewise.cells import lookup
from gatewise.compiler import without_bias
from gatewise.equations import Cell
from gatewise.equations.normal_form import normal_form
from gatewise.interchange.formats import FORMATS, format_of
from gatewise.interchange.identity import declare, identities_of, with_identities
from gatewise.layers.identity import METADATA_KEY, TORCH_MODES, Identity, identity_of, read_identity, reorder_gates
from gatewise.layers.parameters import stem_of
from gatewise.writing import check_writable

_NUMBERED = re.compile(r"(?P<stem>\w+?)(_l\d+(_reverse)?)?")


class Converted(NamedTuple):
    """What `convert` has written.

    Attributes:
        layers: the identities of the recurrent layers, by their path.
        omitted: the names of the weights that the format does not hold: all but those of recurrent layers.
    """

    layers: dict[str, Identity]
    omitted: list[str]


def convert(
    path: Path,
    out: Path,
    to: str,
    *,
    cells: Mapping[str | None, Cell] | None = None,
    gates: Sequence[str] | None = None,
    key: str | None = None,
) -> Converted:
    """Convert a file of weights to another format.

    Args:
        path: the file: a checkpoint of torch, a safetensors file, an ONNX or a Keras model, recognised by its
            content.
        out: the file to write.
        to: the format; see `gatewise.interchange.formats.FORMATS`. In ``torch`` the gates of cells that torch has are
            brought into its order.
        cells: for weights whose file does not record it: by the path of a layer its cell; None is all other layers.
        gates: the order in which these weights stack the gates of that cell; by default its own.
        key: of one of several state dicts in a checkpoint of torch; the name of a node of an ONNX model, or
            of a layer of a Keras model.

    Returns:
        The layers in the written file, and the weights that are not in it.

    Raises:
        ValueError: for a malformed file, one without recurrent weights, weights of an unknown cell, a cell that does
            not fit, or a layer that the format cannot hold.
        OSError: when a file cannot be read or written.
    """
    target = FORMATS[to]
    check_writable(out)
    state = format_of(path).read(path, key)
    try:
        for prefix, cell in sorted((cells or {}).items(), key=lambda item: item[0] is None):
            state = declare(state, cell, gates, prefix=prefix)
        _check_all_known(state)
        if to == "torch":
            state = in_order_of_torch(state)
        omitted = target.write(out, state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Converted(identities_of(state), omitted)


def in_order_of_torch(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the gates of cells that torch has in its order; other layers are unchanged."""
    changed: dict[str, Tensor] = {}
    identities: dict[str, Identity] = {}
    for path, identity in identities_of(state_dict).items():
        found = read_identity({METADATA_KEY: identity})
        assert found is not None
        cell, gates = found
        of_torch = _of_torch(cell)
        if of_torch is None:
            continue
        identities[path] = identity_of(of_torch)
        prefix = f"{path}." if path else ""
        groups = {stem_of(cell, group): group for group in cell.groups}
        for name, weight in state_dict.items():
            numbered = _NUMBERED.fullmatch(name.removeprefix(prefix))
            if name.startswith(prefix) and numbered is not None and numbered["stem"] in groups:
                changed[name] = reorder_gates(of_torch, groups[numbered["stem"]], weight, gates)
    return with_identities(with_identities({**state_dict, **changed}, identities_of(state_dict)), identities)


def _of_torch(cell: Cell) -> Cell | None:
    forms = [form for name in TORCH_MODES for form in (lookup(name), without_bias(lookup(name)))]
    return next((form for form in forms if normal_form(form) == normal_form(cell)), None)


def _check_all_known(state_dict: dict[str, Tensor]) -> None:
    """Check that there are recurrent layers, and that the cell of each is known.

    Raises:
        ValueError: otherwise.
    """
    known = identities_of(state_dict)
    endings = ("weight_hh_l0", "weight_hh")
    layers = {name.rpartition(".")[0] for name in state_dict if name.rpartition(".")[2] in endings}
    unknown = sorted(layers - known.keys())
    if unknown:
        raise ValueError(
            f"the cell of {', '.join(path or 'the layer' for path in unknown)} is not recorded in the file, and cannot "
            "be inferred from shapes (three forms of the GRU have the same); pass --cell, such as --cell lstm, or "
            "--cell gru_cudnn for torch.nn.GRU"
        )
    if not known:
        raise ValueError("no recurrent weights in it; expected names such as weight_ih_l0 and weight_hh_l0")
