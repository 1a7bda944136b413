"""The value of single expressions of a cell, with torch's operations."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from gatewise.equations import Expr, Parameter
from gatewise.kernels.call import Call
from gatewise.kernels.reference import torch_function


class BlocksOf(Mapping[Parameter, Tensor]):
    """The parameters of a call in one direction, block by block; a block is cut out when it is asked for."""

    def __init__(self, call: Call) -> None:
        self._cell, self._hidden = call.cell, call.hidden_size
        self._tensors = dict(zip(call.cell.groups, call.parameters, strict=True))

    def __getitem__(self, block: Parameter) -> Tensor:
        at = self._cell.gates_of(block.group).index(block.gate)
        return self._tensors[block.group][at * self._hidden : (at + 1) * self._hidden]

    def __iter__(self) -> Iterator[Parameter]:
        return (Parameter(group, gate) for group in self._tensors for gate in self._cell.gates_of(group))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def evaluate(node: Expr, values: dict[Expr, Tensor], blocks: Mapping[Parameter, Tensor]) -> Tensor:
    """The value of an expression of parameters and of what is in ``values``, which it is added to."""
    if node not in values:
        if node.op == "parameter":
            assert isinstance(node.attr, Parameter)
            values[node] = blocks[node.attr]
        elif node.op == "constant":
            values[node] = next(iter(blocks.values())).new_tensor(node.attr)
        elif node.op in ("matmul", "matmul_transposed"):
            matrix, operand = (evaluate(arg, values, blocks) for arg in node.args)
            matrix = matrix.t() if node.op == "matmul" else matrix
            # What cancels in the equations leaves a constant: (h - h) is one.
            values[node] = (operand if operand.dim() else operand.expand(matrix.shape[0])) @ matrix
        else:
            values[node] = torch_function(node.op)(*(evaluate(arg, values, blocks) for arg in node.args))
    return values[node]
