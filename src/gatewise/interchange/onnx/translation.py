"""The operator ``gatewise::recurrent`` as nodes of ONNX, for the exporter of torch."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from onnxscript import ir, opset18

from gatewise.equations import Cell
from gatewise.interchange.onnx.native import Native, native_of
from gatewise.kernels.call import cell_of_text

CELL: Final = "gatewise.cell"
"""The entry of a node's metadata with the name of the cell."""
OF_WEIGHTS: Final = "gatewise.weights"
"""The entry of the metadata of nodes that arrange weights."""

op: Any = opset18  # its calls are typed by ONNX's tensors; here they make values of a graph
Value: TypeAlias = Any  # of the graph that torch's exporter builds; only it and onnxscript know their class


def refusal(cell: Cell, has_reset: bool) -> str | None:
    """Why a call of the operator has no node, or None."""
    if native_of(cell) is None:
        return f"ONNX has no operator for the cell {cell.name}"
    if has_reset:
        return "ONNX's operators have no reset inside a sequence (a call has reset=, or a mask with holes)"
    return None


def translate(
    x: Value,
    initial: Sequence[Value],
    parameters: Sequence[Value],
    lengths: Value | None,
    reset: Value | None,
    cell: str,
    directions: str,
    *_: object,
) -> list[Value]:
    """Nodes with the values of a call: the output (T, B, D·H) and the sequence of final states (D, B, H)."""
    made_of = cell_of_text(cell)
    reason, native = refusal(made_of, reset is not None), native_of(made_of)
    if reason is not None or native is None:
        raise ValueError(reason)
    # Sizes of weights are numbers, those of states may be variables that the program has resolved.
    hidden_size = int(parameters[made_of.groups.index("R")].shape[-1])
    stacked = _weights(native, made_of, parameters, hidden_size)
    inputs = {"X": x, **stacked}
    inputs |= {f"initial_{name}": state for name, state in zip(native.operator.states, initial, strict=True)}
    if lengths is not None:
        inputs["sequence_lens"] = op.Cast(lengths, to=ir.DataType.INT32)
    names = native.operator.inputs if native.form.peepholes else native.operator.inputs[: 5 + len(initial)]
    attributes = native.attributes(len(parameters) // len(made_of.groups))
    output, *finals = getattr(op, native.operator.name)(
        *(inputs.get(name) for name in names), direction=directions, hidden_size=hidden_size, **attributes
    )
    output.producer().metadata_props[CELL] = made_of.name
    if lengths is not None:  # ONNX Runtime returns zeros as the final state of a row of length 0
        empty = op.Unsqueeze(op.Equal(lengths, _constant(np.array(0))), _constant(np.array([1])))
        finals = [op.Where(empty, state, final) for state, final in zip(initial, finals, strict=True)]
    joined = op.Reshape(op.Transpose(output, perm=[0, 2, 1, 3]), _constant(np.array([0, 0, -1])))  # (T, D, B, H)
    return [joined, op.SequenceConstruct(*finals)]


def _weights(native: Native, cell: Cell, parameters: Sequence[Value], hidden_size: int) -> dict[str, Value]:
    """W, R, B and P of a node, as far as the cell has them, with a dimension of directions."""
    width = len(cell.groups)
    directions = [
        dict(zip(cell.groups, parameters[start : start + width], strict=True))
        for start in range(0, len(parameters), width)
    ]
    found: dict[str, list[Value]] = {}
    for tensors in directions:
        blocks = {group: _stacked(native, cell, group, tensor, hidden_size) for group, tensor in tensors.items()}
        if "b" in blocks:  # both halves of B are added; a cell with one bias has it in the first
            of_state = blocks.pop("d", None)
            if of_state is None:
                size = len(native.operator.gates) * hidden_size
                of_state = _constant(np.zeros(size, dtype=parameters[0].dtype.numpy()))
            blocks["B"] = _marked(op.Concat(blocks.pop("b"), of_state, axis=0))
        for name, block in blocks.items():
            found.setdefault(name.upper(), []).append(_marked(op.Unsqueeze(block, _constant(np.array([0])))))
    return {
        name: blocks[0] if len(blocks) == 1 else _marked(op.Concat(*blocks, axis=0)) for name, blocks in found.items()
    }


def _stacked(native: Native, cell: Cell, group: str, tensor: Value, hidden_size: int) -> Value:
    """The weights of a group in the order of the operator's gates."""
    dtype = tensor.dtype.numpy()
    rows, signs = native.rows(cell, group, hidden_size), native.signs(group, hidden_size)
    if not np.array_equal(rows, np.arange(len(rows))):
        tensor = _marked(op.Gather(tensor, _constant(rows), axis=0))
    if signs is not None:
        column = signs if cell.shape_of(group) == "vector" else signs[:, None]
        tensor = _marked(op.Mul(tensor, _constant(column.astype(dtype))))
    return tensor


def _marked(value: Value) -> Value:
    """A value computed from weights, which is to be folded into a constant however large it is."""
    value.producer().metadata_props[OF_WEIGHTS] = "1"
    return value


def _constant(array: np.ndarray) -> Value:
    return op.Constant(value=ir.tensor(array))
