"""Expressions evaluated with torch, node by node: what the graphs of the compiler mean."""

from collections.abc import Iterable

import torch
from torch import Tensor

from gatewise.equations import Cell, Expr, Parameter, topological
from tests.compiler.random_cells import MEAN

BATCH, INPUT, HIDDEN, PROJECTED = 3, 4, 5, 2
ELEMENTWISE = {
    "neg": torch.neg,
    "abs": torch.abs,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "log_sigmoid": torch.nn.functional.logsigmoid,
    "sqrt": torch.sqrt,
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "where": torch.where,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "eq": torch.eq,
    "ne": torch.ne,
}


def apply(node: Expr, *args: Tensor) -> Tensor:
    """One node, of operands (…, width); a matrix is (H, width)."""
    if node.op.startswith("matmul") and (args[1].dim() == 0 or args[1].shape[-1] == 1):  # the same for all units
        args = args[0], args[1].expand(*args[1].shape[:-1], args[0].shape[node.op == "matmul"])
    if node.op == "matmul":
        return args[1] @ args[0].T
    if node.op == "matmul_transposed":
        return args[1] @ args[0]
    if node.op == "constant":
        return torch.tensor(float(node.attr), dtype=torch.float64)
    if node.op == "units":
        return torch.tensor(float(HIDDEN), dtype=torch.float64)
    if node.op == "sum":
        return args[0].expand(*args[0].shape[:-1], HIDDEN).sum(-1, keepdim=True)
    return ELEMENTWISE[node.op](*args)


def evaluate(roots: Iterable[Expr], values: dict[Expr, Tensor]) -> list[Tensor]:
    """The roots, given the values of the leaves (and of any other nodes, which are not computed again)."""
    known = dict(values)

    def value(node: Expr) -> Tensor:
        if node not in known:
            known[node] = apply(node, *(value(arg) for arg in node.args))
        return known[node]

    return [value(root) for root in roots]


def random_leaves(cell: Cell, seed: int, scale: float = 1.0, grid: bool = False) -> dict[Expr, Tensor]:
    """Values in float64 for x (B, I), the states (B, H or P) and the blocks; on a grid of halves ties are frequent."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        value = torch.randn(*shape, generator=generator, dtype=torch.float64) * scale
        return (torch.round(value) / 2 if grid else value).requires_grad_()

    values: dict[Expr, Tensor] = {}
    for node in topological(cell.outputs):
        if node.op == "input":
            values[node] = draw(BATCH, INPUT)
        elif node.op == "state":
            values[node] = draw(BATCH, widths_of(cell)[cell.states.index(str(node.attr))])
        elif isinstance(node.attr, Parameter):
            rows, *columns = cell.parameter_shape(node.attr.group, INPUT, HIDDEN, PROJECTED)
            values[node] = draw(rows // len(cell.gates_of(node.attr.group)), *columns)
            if node.attr.group == MEAN:
                values[node] = torch.full_like(values[node], 1 / HIDDEN, requires_grad=True)
    return values


def full(value: Tensor) -> Tensor:
    """(B, H) or (B, P), of a value that may be a constant or the same for all of the batch."""
    return value.expand(BATCH, value.shape[-1] if value.dim() and value.shape[-1] > 1 else HIDDEN)


def widths_of(cell: Cell) -> list[int]:
    """The width of each state."""
    return [PROJECTED if width == "P" else HIDDEN for width in cell.widths]
