"""One step of a cell in one direction as nodes of ONNX, derived from its equations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnxscript import ir

from gatewise.equations import Cell, Expr, Parameter, topological
from gatewise.equations.expression import Width
from gatewise.equations.operations import OPERATIONS
from gatewise.interchange.onnx.node_list import NodeList, Value
from gatewise.interchange.onnx.spelling import spelled


@dataclass(frozen=True)
class _Product:
    """Blocks of one group with the same operand, multiplied together.

    Attributes:
        matrix: their columns side by side; divided into n heads (n, H/n, G·H/n), those of each head.
        sizes: the number of columns of each.
        nodes: the expressions of the products.
        heads: n.
    """

    operand: Expr
    matrix: Value
    sizes: Value
    nodes: tuple[Expr, ...]
    heads: int


class Step:
    """The step of a cell in one direction.

    Attributes:
        type: of all values.
        of_input: products of x for all steps, (T, B, rows) each; they and what depends on parameters alone are outside
            of the loop.
    """

    def __init__(self, cell: Cell, tensors: Mapping[str, Value], x: Value, outside: NodeList) -> None:
        """Make the nodes outside of the loop.

        Args:
            cell: the cell; ONNX has its operations.
            tensors: the stacked parameters by group.
            x: (T, B, I).
            outside: receives the nodes.
        """
        self._cell, self._tensors, self._outside = cell, tensors, outside
        self.type = ir.TensorType(next(iter(tensors.values())).dtype)
        self._outputs = spelled(cell)
        nodes = topological(self._outputs)
        matrices = {node.args[0] for node in nodes if node.op == "matmul"}
        self._products = self._multiplied([node for node in nodes if node.op == "matmul"])
        self._values: dict[Expr, Value] = {}
        self._varying: dict[Expr, None] = {}  # what a step computes, in order of evaluation
        of_step = {Expr.make("input"), *(Expr.make("state", attr=name) for name in cell.states)}
        for node in nodes:
            if node in of_step or not of_step.isdisjoint(node.args):
                of_step.add(node)
                self._varying[node] = None
            elif node not in matrices and node not in self._values:
                self._make(node, outside)
        products = dict.fromkeys(self._products.values())
        self._of_input = [product for product in products if product.operand.op == "input"]
        self.of_input = [outside("MatMul", x, product.matrix) for product in self._of_input]

    def new_states(self, inside: NodeList, of_input: Sequence[Value], states: Sequence[Value]) -> list[Value]:
        """The states after the step, (B, H) each.

        Args:
            inside: receives the nodes.
            of_input: `of_input` of this step, (B, rows) each.
            states: those before it, (B, H) each.
        """
        for name, state in zip(self._cell.states, states, strict=True):
            self._values[Expr.make("state", attr=name)] = state
        for product, values in zip(self._of_input, of_input, strict=True):
            self._split(product, values, inside)
        for node in self._varying:
            if node.op != "input" and node not in self._values:
                self._make(node, inside)
        return [
            self._values[output]
            if output in self._varying and output.width is Width.UNITS
            else inside("Expand", self._values[output], inside("Shape", state))
            for output, state in zip(self._outputs, states, strict=True)
        ]

    def _multiplied(self, nodes: Sequence[Expr]) -> dict[Expr, _Product]:
        """The products by node, those of one group and operand together."""
        together: dict[tuple[str, Expr], list[Expr]] = {}
        for node in nodes:
            together.setdefault((_block(node.args[0]).group, node.args[1]), []).append(node)
        found: dict[Expr, _Product] = {}
        for (_, operand), members in together.items():
            blocks = [_block(node.args[0]) for node in members]
            rows = [self._rows(block) for block in blocks]
            group, sizes = blocks[0].group, self._outside.constant(np.array([len(one) for one in rows]))
            heads = self._heads(group, len(rows[0]))
            matrix = self._matrix(self._gathered(group, rows), len(rows), heads, len(rows[0]) // heads)
            found |= dict.fromkeys(members, _Product(operand, matrix, sizes, tuple(members), heads))
        return found

    def _heads(self, group: str, height: int) -> int:
        """Into how many heads the matrices of a group are divided."""
        return height // int(self._tensors[group].shape[1]) if group in self._cell.heads else 1

    def _matrix(self, stacked: Value, blocks: int, heads: int, width: int) -> Value:
        """See `_Product`, of blocks on top of each other."""
        nodes = self._outside
        if heads == 1:
            return nodes.of_weights("Transpose", stacked, perm=[1, 0])
        parts = nodes.of_weights("Reshape", stacked, nodes.constant(np.array([blocks, heads, width, width])))
        of_heads = nodes.of_weights("Transpose", parts, perm=[1, 3, 0, 2])
        return nodes.of_weights("Reshape", of_heads, nodes.constant(np.array([heads, width, blocks * width])))

    def _width(self, product: _Product) -> int:
        """The width of the operand."""
        return product.heads * int(self._tensors[_block(product.nodes[0].args[0]).group].shape[1])

    def _multiply(self, product: _Product, operand: Value, nodes: NodeList) -> Value:
        """The product of an operand (B, H) with the matrix."""
        if product.heads == 1:
            return nodes("MatMul", operand, product.matrix)
        blocks, heads = len(product.nodes), product.heads
        width = int(self._tensors[_block(product.nodes[0].args[0]).group].shape[1])
        parts = nodes("Reshape", operand, nodes.constant(np.array([-1, heads, width])))
        of_heads = nodes("MatMul", nodes("Transpose", parts, perm=[1, 0, 2]), product.matrix)
        parts = nodes("Reshape", of_heads, nodes.constant(np.array([heads, -1, blocks, width])))
        rows = nodes("Transpose", parts, perm=[1, 2, 0, 3])
        return nodes("Reshape", rows, nodes.constant(np.array([-1, blocks * heads * width])))

    def _rows(self, block: Parameter) -> np.ndarray:
        """The rows of a block in the stacked tensor of its group."""
        gates = self._cell.gates_of(block.group)
        height = int(self._tensors[block.group].shape[0]) // len(gates)
        start = gates.index(block.gate) * height
        return np.arange(start, start + height)

    def _gathered(self, group: str, rows: Sequence[np.ndarray]) -> Value:
        tensor, wanted = self._tensors[group], np.concatenate(rows)
        if np.array_equal(wanted, np.arange(int(tensor.shape[0]))):
            return tensor
        return self._outside.of_weights("Gather", tensor, self._outside.constant(wanted), axis=0)

    def _make(self, node: Expr, nodes: NodeList) -> None:
        """Make the nodes of an expression whose operands have values."""
        if node.op == "constant":
            self._values[node] = nodes.constant(np.array(node.attr, self.type.dtype.numpy()))
        elif node.op == "units":
            group = self._cell.groups[self._cell.hidden_group]
            block = Parameter(group, self._cell.gates_of(group)[0])
            self._values[node] = nodes.constant(np.array(len(self._rows(block)), self.type.dtype.numpy()))
        elif node.op == "sum":
            last = nodes.constant(np.array([-1]))
            self._values[node] = nodes("ReduceSum", self._values[node.args[0]], last, keepdims=1)
        elif node.op == "parameter":
            block = _block(node)
            self._values[node] = self._gathered(block.group, [self._rows(block)])
        elif node.op == "matmul":
            product = self._products[node]
            operand = self._values[product.operand]
            if nodes is self._outside:  # perhaps made of constants alone
                operand = nodes("Expand", operand, nodes.constant(np.array([self._width(product)])))
            self._split(product, self._multiply(product, operand, nodes), nodes)
        else:
            spelling = OPERATIONS[node.op].onnx
            assert isinstance(spelling, str)
            first, *others = spelling.split()
            value = nodes(first, *(self._values[arg] for arg in node.args))
            for name in others:
                value = nodes(name, value)
            self._values[node] = value

    def _split(self, product: _Product, values: Value, nodes: NodeList) -> None:
        if len(product.nodes) == 1:
            self._values[product.nodes[0]] = values
        else:
            parts = nodes.several("Split", len(product.nodes), values, product.sizes, axis=-1)
            self._values.update(zip(product.nodes, parts, strict=True))


def _block(leaf: Expr) -> Parameter:
    assert isinstance(leaf.attr, Parameter)
    return leaf.attr
