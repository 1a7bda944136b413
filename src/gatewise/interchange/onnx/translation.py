"""The operator ``gatewise::recurrent`` as nodes of ONNX, for the exporter of torch."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from onnxscript import ir

from gatewise.equations import Cell
from gatewise.equations.operations.operation import MissingImplementation
from gatewise.equations.regularisation import with_constant_masks
from gatewise.interchange.onnx.conventions import OPERATORS
from gatewise.interchange.onnx.native import Native, native_of
from gatewise.interchange.onnx.node_list import NodeList, Value
from gatewise.interchange.onnx.scan import scan
from gatewise.interchange.onnx.spelling import spelled
from gatewise.kernels.call import cell_of_text
from gatewise.kernels.masks import Masks

CELL: Final = "gatewise.cell"
"""The entry of a node's metadata with the name of the cell."""
DIRECTIONS: Final = "gatewise.directions"
"""The entry with the directions of the layer."""


def evaluated(text: str, masks: str) -> Cell:
    """The cell of a call that draws nothing, with the constant factors of its masks."""
    cell = cell_of_text(text)
    if not cell.masks:
        return cell
    kept = Masks.from_text(None, masks).rates[1::2]
    return with_constant_masks(cell, dict(zip(cell.masks, kept, strict=True)))


def refusal(cell: Cell, dtype: ir.DataType, has_reset: bool) -> str | None:
    """Why a call of the operator has no nodes, or None."""
    if _native(cell, dtype, has_reset) is not None:
        return None
    try:
        spelled(cell)
    except MissingImplementation as missing:
        return f"ONNX has no operator for this call of the cell {cell.name}, nor for its equations: {missing}"
    return None


def _native(cell: Cell, dtype: ir.DataType, has_reset: bool) -> Native | None:
    """The operator for a call; None where it is a loop."""
    # The operators have no resets, and ONNX Runtime computes them in float32 and float16 alone.
    return None if has_reset or dtype == ir.DataType.DOUBLE else native_of(cell)


def translate(
    x: Value,
    initial: Sequence[Value],
    parameters: Sequence[Value],
    lengths: Value | None,
    reset: Value | None,
    _mask_seed: Value | None,  # there is none in evaluation, in which modules are exported
    cell: str,
    directions: str,
    masks: str,
    *_: object,
) -> list[Value]:
    """Nodes with the values of a call: the output (T, B, D·H) and the sequence of final states (D, B, H)."""
    made_of, nodes = evaluated(cell, masks), NodeList()
    native = _native(made_of, x.dtype, reset is not None)
    if native is None:
        output, finals = scan(nodes, made_of, x, initial, parameters, lengths, reset, directions)
    else:
        output, finals = _one_node(nodes, native, made_of, x, initial, parameters, lengths, directions)
    (node,) = (one for one in nodes.nodes if one.op_type in (*OPERATORS, "Scan"))
    node.metadata_props.update({CELL: made_of.name, DIRECTIONS: directions})
    in_order = nodes("Transpose", output, perm=[0, 2, 1, 3])
    results = [
        nodes("Reshape", in_order, nodes.constant(np.array([0, 0, -1]))),
        nodes("SequenceConstruct", *finals),
    ]
    nodes.record()
    return results


def _one_node(
    nodes: NodeList,
    native: Native,
    cell: Cell,
    x: Value,
    initial: Sequence[Value],
    parameters: Sequence[Value],
    lengths: Value | None,
    directions: str,
) -> tuple[Value, list[Value]]:
    """The output (T, D, B, H) and the final states of the operator that computes a cell."""
    # Sizes of weights are numbers, those of states may be variables that the program has resolved.
    hidden_size = int(parameters[cell.groups.index("R")].shape[-1])
    inputs = {"X": x, **_weights(nodes, native, cell, parameters, hidden_size)}
    inputs |= {f"initial_{name}": state for name, state in zip(native.operator.states, initial, strict=True)}
    if lengths is not None:
        inputs["sequence_lens"] = nodes("Cast", lengths, to=ir.DataType.INT32)
    names = native.operator.inputs if native.form.peepholes else native.operator.inputs[: 5 + len(initial)]
    output, *finals = nodes.several(
        native.operator.name,
        1 + len(initial),
        *(inputs.get(name) for name in names),
        direction=directions,
        hidden_size=hidden_size,
        **native.attributes(len(parameters) // len(cell.groups)),
    )
    if lengths is not None:  # ONNX Runtime returns zeros as the final state of a row of length 0
        empty = nodes("Equal", lengths, nodes.constant(np.array(0)))
        empty = nodes("Unsqueeze", empty, nodes.constant(np.array([1])))
        finals = [nodes("Where", empty, state, final) for state, final in zip(initial, finals, strict=True)]
    return output, finals


def _weights(
    nodes: NodeList, native: Native, cell: Cell, parameters: Sequence[Value], hidden_size: int
) -> dict[str, Value]:
    """W, R, B and P of a node, as far as the cell has them, with a dimension of directions."""
    width = len(cell.groups)
    directions = [
        dict(zip(cell.groups, parameters[start : start + width], strict=True))
        for start in range(0, len(parameters), width)
    ]
    found: dict[str, list[Value]] = {}
    first = nodes.constant(np.array([0]))
    for tensors in directions:
        blocks = {group: _stacked(nodes, native, cell, group, tensor, hidden_size) for group, tensor in tensors.items()}
        if "b" in blocks:  # both halves of B are added; a cell with one bias has it in the first
            of_state = blocks.pop("d", None)
            if of_state is None:
                size = len(native.operator.gates) * hidden_size
                of_state = nodes.constant(np.zeros(size, dtype=parameters[0].dtype.numpy()))
            blocks["B"] = nodes.of_weights("Concat", blocks.pop("b"), of_state, axis=0)
        for name, block in blocks.items():
            found.setdefault(name.upper(), []).append(nodes.of_weights("Unsqueeze", block, first))
    return {
        name: blocks[0] if len(blocks) == 1 else nodes.of_weights("Concat", *blocks, axis=0)
        for name, blocks in found.items()
    }


def _stacked(nodes: NodeList, native: Native, cell: Cell, group: str, tensor: Value, hidden_size: int) -> Value:
    """The weights of a group in the order of the operator's gates."""
    dtype = tensor.dtype.numpy()
    rows, signs = native.rows(cell, group, hidden_size), native.signs(group, hidden_size)
    if not np.array_equal(rows, np.arange(len(rows))):
        tensor = nodes.of_weights("Gather", tensor, nodes.constant(rows), axis=0)
    if signs is not None:
        column = signs if cell.shape_of(group) == "vector" else signs[:, None]
        tensor = nodes.of_weights("Mul", tensor, nodes.constant(column.astype(dtype)))
    return tensor
