"""The recurrent layers of a state dict, made from the cells that its metadata records."""

from collections.abc import Mapping

from torch import Tensor

from gatewise.equations import Cell
from gatewise.interchange.identity import identities_of, with_identities
from gatewise.layers import Recurrent
from gatewise.layers.identity import METADATA_KEY, read_identity
from gatewise.layers.merging import Merge
from gatewise.layers.parameters import stem_of


def recorded_layers(state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Recurrent], list[str]]:
    """The layers whose cells the metadata of their weights records, by path, and the names of all other weights.

    Options that are not in weights have their defaults: a single direction reads forward.

    Raises:
        ValueError: for a layer whose parameters do not fit its cell, or whose merge is not in its weights.
    """
    layers: dict[str, Recurrent] = {}
    others = dict(state_dict)
    for path, identity in identities_of(state_dict).items():
        prefix = f"{path}." if path else ""
        found = read_identity({METADATA_KEY: identity})
        assert found is not None
        own = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        try:
            layer, weights = _made(found[0], own)
            layer.load_state_dict(with_identities(weights, {"": identity}))
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"layer {path or '(without a name)'}: {' '.join(str(error).split())}") from None
        layers[path] = layer
        for name in own:
            if name in weights or f"{name}_l0" in weights:
                del others[prefix + name]
    return layers, list(others)


def _made(cell: Cell, weights: Mapping[str, Tensor]) -> tuple[Recurrent, dict[str, Tensor]]:
    """A layer of a cell for these weights, and those of them that are its own, by its names for them."""
    group = next(group for group in cell.groups if cell.shape_of(group) == "input")
    stem = stem_of(cell, group)
    if stem in weights:  # as a step of torch.nn, without the number of a layer
        stems = [stem_of(cell, one) for one in cell.groups]
        weights = {f"{name}_l0": value for name, value in weights.items() if name in stems}
    count = next(number for number in range(len(weights) + 1) if f"{stem}_l{number}" not in weights)
    if not count:
        raise ValueError(f"expected weights of its cell {cell.name}, such as {stem}_l0")
    first = weights[f"{stem}_l0"]
    hidden_size = first.shape[0] // len(cell.gates_of(group))
    proj_size = 0
    if cell.projected:
        number, axis = cell.projection_axis
        name = f"{stem_of(cell, cell.groups[number])}_l0"
        if name not in weights:
            raise ValueError(f"expected weights of its cell {cell.name}, such as {name}")
        proj_size = weights[name].shape[axis] // (1 if axis else len(cell.gates_of(cell.groups[number])))
    heads = hidden_size // max(1, weights[stem_of(cell, cell.heads[0]) + "_l0"].shape[1]) if cell.heads else 1
    width = proj_size if cell.widths[0] == "P" else hidden_size
    both = f"{stem}_l0_reverse" in weights
    merge: Merge = "learned" if "merge_weight_l0" in weights else "concat"
    if both and count > 1 and merge == "concat" and weights[f"{stem}_l1"].shape[1] == width:
        raise ValueError("its directions are merged into one width, and how (sum, mean or mul) is not recorded")
    layer = Recurrent(
        cell,
        first.shape[1],
        hidden_size,
        count,
        bidirectional=both,
        merge=merge,
        proj_size=proj_size,
        heads=heads,
        dtype=first.dtype,
        device="meta",
    ).to_empty(device="cpu")
    return layer, {name: weights[name] for name in layer.state_dict() if name in weights}
