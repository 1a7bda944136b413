"""Evaluation of single expressions of a cell with torch operations."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from gatewise.equations import Expr, Parameter
from gatewise.kernels.call import Call
from gatewise.kernels.reference import elementwise, number, product, torch_function


class BlocksOf(Mapping[Parameter, Tensor]):
    """The parameters of a call in one direction, by block, sliced on access."""

    def __init__(self, call: Call) -> None:
        self._cell, self.hidden_size, self._heads = call.cell, call.hidden_size, call.heads
        self._tensors = dict(zip(call.cell.groups, call.parameters, strict=True))

    def __getitem__(self, block: Parameter) -> Tensor:
        gates, whole = self._cell.gates_of(block.group), self._tensors[block.group]
        rows = whole.shape[0] // len(gates)
        first = gates.index(block.gate) * rows
        return whole[first : first + rows]

    def heads(self, matrix: Expr) -> int:
        """Into how many heads a matrix is divided."""
        assert isinstance(matrix.attr, Parameter)
        return self._heads if matrix.attr.group in self._cell.heads else 1

    def __iter__(self) -> Iterator[Parameter]:
        return (Parameter(group, gate) for group in self._tensors for gate in self._cell.gates_of(group))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def outer_sum(delta: Tensor, operand: Tensor, heads: int = 1) -> Tensor:
    """The gradient (rows, columns) of a block from those of its products (N, rows) and their operands (N, columns)."""
    if heads == 1:
        return delta.t() @ operand
    of_heads, parts = delta.unflatten(-1, (heads, -1)), operand.unflatten(-1, (heads, -1))
    return torch.einsum("nhk,nhd->hkd", of_heads, parts).flatten(0, 1)


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
            heads = blocks.heads(node.args[0])
            if node.op == "matmul_transposed":
                matrix = matrix.unflatten(0, (heads, -1)).mT.flatten(0, 1)
            if not operand.dim():  # terms that cancel leave a constant, as (h - h)
                operand = operand.expand(heads * matrix.shape[1])
            values[node] = product(operand, matrix, heads)
        else:
            operands = [evaluate(arg, values, blocks) for arg in node.args]
            values[node] = elementwise(torch_function(node.op), node, operands)
    return values[node]
