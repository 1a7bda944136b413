"""Evaluation of single expressions of a cell with torch operations."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from gatewise.equations import Expr, Parameter
from gatewise.kernels.call import Call
from gatewise.kernels.reference import elementwise, number, torch_function


class BlocksOf(Mapping[Parameter, Tensor]):
    """The parameters of a call in one direction, by block, sliced on access."""

    def __init__(self, call: Call) -> None:
        self._cell, self.hidden_size = call.cell, call.hidden_size
        self._tensors = dict(zip(call.cell.groups, call.parameters, strict=True))

    def __getitem__(self, block: Parameter) -> Tensor:
        gates, whole = self._cell.gates_of(block.group), self._tensors[block.group]
        rows = whole.shape[0] // len(gates)
        first = gates.index(block.gate) * rows
        return whole[first : first + rows]

    def __iter__(self) -> Iterator[Parameter]:
        return (Parameter(group, gate) for group in self._tensors for gate in self._cell.gates_of(group))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def mask_values(call: Call, number: int) -> Tensor:
    """The values (T, B, H) or (T, B, P) of a mask of the cell at every step of a call in one direction."""
    mask, (steps, batch, _), width = call.cell.masks[number], call.x.shape, call.mask_sizes[number]
    one = [call.all_masks.values(mask, number, step, batch, width, call.x) for step in range(steps)]
    return torch.stack(one)


def evaluate(node: Expr, values: dict[Expr, Tensor], blocks: BlocksOf) -> Tensor:
    """The value of an expression, given the values of its leaves; computed values are added to ``values``."""
    if node not in values:
        if node.op == "parameter":
            assert isinstance(node.attr, Parameter)
            values[node] = blocks[node.attr]
        elif node.op in ("constant", "units"):
            values[node] = number(node, blocks.hidden_size, next(iter(blocks.values())))
        elif node.op in ("matmul", "matmul_transposed"):
            matrix, operand = (evaluate(arg, values, blocks) for arg in node.args)
            matrix = matrix.t() if node.op == "matmul" else matrix
            # Terms that cancel leave a constant, as (h - h).
            values[node] = (operand if operand.dim() else operand.expand(matrix.shape[0])) @ matrix
        else:
            operands = [evaluate(arg, values, blocks) for arg in node.args]
            values[node] = elementwise(torch_function(node.op), node, operands)
    return values[node]
