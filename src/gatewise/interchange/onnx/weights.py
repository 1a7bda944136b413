"""W, R, B and P of a node: split into the blocks of gates, and stacked again in a cell's own order."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise.equations import Cell, Parameter
from gatewise.interchange.onnx.conventions import Operator
from gatewise.layers import Recurrent

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}

Blocks = dict[Parameter, Tensor]


class Weights(NamedTuple):
    """The weights of a node.

    Attributes:
        blocks: per direction, by our parameter block: W and R, b and d (both halves of B), p (P).
        input_size, hidden_size: I and H.
        dtype: of all of them.
    """

    blocks: tuple[Blocks, ...]
    input_size: int
    hidden_size: int
    dtype: torch.dtype


def read_weights(
    operator: Operator, arrays: Mapping[str, np.ndarray], direction_count: int, hidden_size: int | None
) -> Weights:
    """The weights of a node by block.

    Args:
        operator: the node's.
        arrays: W, R, and B and P where given.
        direction_count: D.
        hidden_size: H as the node has it; by default that of R.

    Raises:
        ValueError: naming the input, for a wrong shape or type.
    """
    tensors = {name: weight_tensor(name, array) for name, array in arrays.items()}
    dtype = tensors["W"].dtype
    for name, tensor in tensors.items():
        if tensor.dtype != dtype:
            raise ValueError(f"{name}: expected the type of W, {_name(dtype)}, got {_name(tensor.dtype)}")
    gates = len(operator.gates)
    recurrent, inputs = tensors["R"], tensors["W"]
    if hidden_size is None:
        hidden_size = recurrent.shape[-1] if recurrent.dim() == 3 else 0
    input_size = inputs.shape[-1] if inputs.dim() == 3 else 0
    shapes = {
        "W": (direction_count, gates * hidden_size, input_size),
        "R": (direction_count, gates * hidden_size, hidden_size),
        "B": (direction_count, 2 * gates * hidden_size),
        "P": (direction_count, len(operator.peepholes) * hidden_size),
    }
    letters = {
        "W": f"(directions, {gates}·hidden_size, input_size)",
        "R": f"(directions, {gates}·hidden_size, hidden_size)",
        "B": f"(directions, {2 * gates}·hidden_size)",
        "P": f"(directions, {len(operator.peepholes)}·hidden_size)",
    }
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name] or 0 in shapes[name]:
            sizes = f"{direction_count} direction{'s' * (direction_count > 1)} and hidden_size {hidden_size}"
            raise ValueError(f"{name}: expected shape {letters[name]} with {sizes}, got {tuple(tensor.shape)}")
    blocks = tuple(
        _blocks(operator, {name: tensor[index] for name, tensor in tensors.items()}) for index in range(direction_count)
    )
    return Weights(blocks, input_size, hidden_size, dtype)


def _blocks(operator: Operator, tensors: Mapping[str, Tensor]) -> Blocks:
    found: Blocks = {}
    stacked: list[tuple[str, Tensor, Sequence[str | None]]] = [
        ("W", tensors["W"], operator.gates),
        ("R", tensors["R"], operator.gates),
    ]
    if "B" in tensors:
        of_input, of_state = tensors["B"].chunk(2)
        stacked += [("b", of_input, operator.gates), ("d", of_state, operator.gates)]
    if "P" in tensors:
        stacked.append(("p", tensors["P"], operator.peepholes))
    for group, tensor, gates in stacked:
        found |= {Parameter(group, gate): part for gate, part in zip(gates, tensor.chunk(len(gates)), strict=True)}
    return found


def stack_blocks(cell: Cell, blocks: Blocks) -> list[Tensor]:
    """The parameters of one direction of a cell, in the order of its groups.

    A cell with one bias gets the sum of both, where there are two. Blocks of gates that it does not have are left out.
    """
    return [
        torch.cat([_block(cell, Parameter(group, gate), blocks) for gate in cell.gates_of(group)])
        for group in cell.groups
    ]


def _block(cell: Cell, block: Parameter, blocks: Blocks) -> Tensor:
    other = Parameter("d", block.gate)
    if block.group == "b" and "d" not in cell.groups and other in blocks:
        return blocks[block] + blocks[other]
    return blocks[block]


def load_blocks(layer: Recurrent, blocks: Sequence[Blocks]) -> None:
    """Copy blocks into the parameters of a layer, one dict for each direction."""
    with torch.no_grad():
        for parameters, values in zip(layer.all_weights, blocks, strict=True):
            for parameter, value in zip(parameters, stack_blocks(layer.cell, values), strict=True):
                parameter.copy_(value)


def blocks_of(cell: Cell, parameters: Sequence[Tensor]) -> Blocks:
    """The blocks of the parameters of one direction, the inverse of `stack_blocks`."""
    found: Blocks = {}
    for group, tensor in zip(cell.groups, parameters, strict=True):
        gates = cell.gates_of(group)
        found |= {Parameter(group, gate): part for gate, part in zip(gates, tensor.chunk(len(gates)), strict=True)}
    return found


def weight_tensor(name: str, array: np.ndarray) -> Tensor:
    """A copy of an array of weights.

    Raises:
        ValueError: naming it, for a type that weights do not have.
    """
    if array.dtype.name not in _DTYPES:
        raise ValueError(f"{name}: expected one of the types {', '.join(_DTYPES)}, got {array.dtype.name}")
    return as_tensor(array)


def as_tensor(array: np.ndarray) -> Tensor:
    """A copy of an array, whose type torch has."""
    if array.dtype.name == "bfloat16":  # an extension type of numpy, which torch does not read
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(array, order="C"))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
