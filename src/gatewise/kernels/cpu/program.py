"""A cell as the engine runs it: its emitted work, its functions' addresses, and how its parameters are used."""

import ctypes
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache

import torch
from torch import Tensor

from gatewise.compiler.build import PREFIX, BuildError
from gatewise.compiler.builtin import built_in
from gatewise.compiler.emit import EmitError, Program, emit
from gatewise.equations import Cell, Expr, Parameter
from gatewise.equations.operations.operation import MissingSpelling
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import user_cells
from gatewise.kernels.cpu.jobs import Template
from gatewise.kernels.cpu.library import SUFFIX, engine
from gatewise.kernels.reference import torch_function

prefixes = lru_cache(maxsize=1)(built_in)


# By the equations of cells that are not built in: the library with their functions, or why there is none. What failed
# is not tried again by the same process, so that a layer does not change its backend from call to call.
_compiled: dict[str, ctypes.CDLL | BuildError] = {}


def refusal(cell: Cell) -> str | None:
    """Why the functions of a cell are not there, or None; compiles a cell that is not built in at its first use."""
    if cell.equations in prefixes():
        return None
    if cell.equations not in _compiled:
        try:
            found = user_cells.load(program(cell.equations), cell.name, engine(torch.float32).instruction_set)
        except BuildError as error:
            found = error
        except (EmitError, MissingSpelling) as error:
            found = user_cells.failure(cell.name, error)
        _compiled[cell.equations] = found
    found = _compiled[cell.equations]
    return str(found) if isinstance(found, BuildError) else None


def _library(equations: str) -> ctypes.CDLL:
    if equations in prefixes():
        return engine(torch.float32).library
    found = _compiled[equations]
    assert not isinstance(found, BuildError), "refusal was asked first"
    return found


@cache
def program(equations: str) -> Program:
    """The program of a cell, by its equations."""
    if equations in prefixes():
        return emit(*prefixes()[equations])
    return emit(Cell.from_equations(equations), PREFIX)


@cache
def template(equations: str, dtype: torch.dtype, hidden_size: int, backward: bool) -> Template:
    """The words for the engine that do not change from call to call."""
    made = program(equations)
    direction = made.backward if backward else made.forward
    return Template(direction, functions(equations, dtype, backward), hidden_size, backward)


@cache
def functions(equations: str, dtype: torch.dtype, backward: bool) -> tuple[int, ...]:
    """The address of each stage's function, 0 for none."""
    made = program(equations)
    library = _library(equations)
    stages = (made.backward if backward else made.forward).stages
    return tuple(
        ctypes.cast(getattr(library, f"{stage.function}_{SUFFIX[dtype]}"), ctypes.c_void_p).value or 0
        if stage.function
        else 0
        for stage in stages
    )


class BlocksOf(Mapping[Parameter, Tensor]):
    """The parameters of a call in one direction, block by block; a block is cut out when it is asked for."""

    def __init__(self, call: Call) -> None:
        self._cell, self._hidden = call.cell, call.hidden_size
        self._tensors = dict(zip(call.cell.groups, call.parameters, strict=True))

    def __getitem__(self, block: Parameter) -> Tensor:
        at = self._cell.gates_of(block.group).index(block.gate)
        return self._tensors[block.group][at * self._hidden : (at + 1) * self._hidden]

    def rows(self, group: str, first: int, count: int) -> Tensor:
        """Some blocks of a group that follow each other."""
        tensor = self._tensors[group]
        begin, end = first * self._hidden, (first + count) * self._hidden
        return tensor if begin == 0 and end == tensor.shape[0] else tensor[begin:end]

    @property
    def dtype(self) -> torch.dtype:
        """Of the parameters."""
        return next(iter(self._tensors.values())).dtype

    def address(self, block: Parameter) -> int:
        """Where a block begins, without making a tensor of it."""
        tensor = self._tensors[block.group]
        at = self._cell.gates_of(block.group).index(block.gate)
        return tensor.data_ptr() + at * self._hidden * tensor.stride(0) * tensor.element_size()

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


def evaluate_rows(node: Expr, values: dict[Expr, Tensor], blocks: Mapping[Parameter, Tensor], rows: int) -> Tensor:
    """As `evaluate`, with as many rows as asked for: an expression of constants alone has a single value."""
    value = evaluate(node, values, blocks)
    return value if value.dim() else value.expand(rows)
