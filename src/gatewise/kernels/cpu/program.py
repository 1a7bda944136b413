"""A cell as the engine runs it: its emitted work, its functions' addresses, and how its parameters are used."""

import ctypes
from collections.abc import Mapping
from functools import cache, lru_cache

import torch
from torch import Tensor

from gatewise.compiler.builtin import built_in
from gatewise.compiler.emit import Program, emit
from gatewise.equations import Expr, Parameter
from gatewise.kernels.call import Call
from gatewise.kernels.cpu.library import SUFFIX, engine
from gatewise.kernels.reference import ELEMENTWISE

Blocks = Mapping[Parameter, Tensor]


prefixes = lru_cache(maxsize=1)(built_in)


@cache
def program(equations: str) -> Program:
    """The program of a built-in cell, by its equations."""
    return emit(*prefixes()[equations])


@cache
def functions(equations: str, dtype: torch.dtype, backward: bool) -> tuple[int, ...]:
    """The address of each stage's function, 0 for none."""
    made = program(equations)
    library = engine(dtype).library
    stages = (made.backward if backward else made.forward).stages
    return tuple(
        ctypes.cast(getattr(library, f"{stage.function}_{SUFFIX[dtype]}"), ctypes.c_void_p).value or 0
        if stage.function
        else 0
        for stage in stages
    )


def blocks_of(call: Call) -> dict[Parameter, Tensor]:
    """The parameters of a call in one direction, block by block."""
    hidden = call.hidden_size
    return {
        Parameter(group, gate): tensor[at * hidden : (at + 1) * hidden]
        for group, tensor in zip(call.cell.groups, call.parameters, strict=True)
        for at, gate in enumerate(call.cell.gates_of(group))
    }


def evaluate(node: Expr, values: dict[Expr, Tensor], blocks: Blocks) -> Tensor:
    """The value of an expression of parameters and of what is in ``values``, which it is added to."""
    if node not in values:
        if node.op == "parameter":
            assert isinstance(node.attr, Parameter)
            values[node] = blocks[node.attr]
        elif node.op == "constant":
            values[node] = next(iter(blocks.values())).new_tensor(node.attr)
        elif node.op == "matmul":
            matrix, operand = (evaluate(arg, values, blocks) for arg in node.args)
            values[node] = torch.nn.functional.linear(operand, matrix)
        else:
            values[node] = ELEMENTWISE[node.op](*(evaluate(arg, values, blocks) for arg in node.args))
    return values[node]
