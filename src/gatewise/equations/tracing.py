"""Tracing: a Python function is called once with symbols, and the expressions it returns are checked."""

import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from gatewise.equations.expression import COMPARISONS, Expr, Parameter, lift, naming, topological
from gatewise.equations.operations import OPERATIONS


class DefinitionError(ValueError):
    """A cell's definition is invalid; the message begins with file and line."""


def _supported() -> str:
    functions = ", ".join(name for name, operation in OPERATIONS.items() if operation.function)
    return (
        f"supported: + - * / and -a, comparisons inside where, {functions} (from gatewise.equations), numbers, "
        "W.gate @ x, R.gate @ h"
    )


# Added to what torch, numpy and others say about an argument that is an `Expr`.
_NOT_AN_ARRAY = (
    "; x, the states and the parameters are symbols here, not tensors or arrays: use the functions of "
    "gatewise.equations, such as sigmoid and tanh, instead of those of other libraries"
)


class Traced(NamedTuple):
    """A traced cell function: its names, its gates in order of first appearance, an expression per state."""

    states: tuple[str, ...]
    groups: tuple[str, ...]
    gates: tuple[str, ...]
    outputs: tuple[Expr, ...]


def trace(function: Callable[..., object]) -> Traced:
    """Call the function with symbols and check what it returns.

    Raises:
        DefinitionError: with file, line and what to change.
    """
    code = function.__code__
    where_defined = (code.co_filename, code.co_firstlineno)
    states, groups = _signature(function, where_defined)
    first_named: dict[Parameter, tuple[str, int]] = {}

    def note(block: Parameter) -> None:
        if block not in first_named:
            first_named[block] = _calling_line(where_defined)

    symbols = [Expr.make("input"), *(Expr.make("state", attr=name) for name in states)]
    symbols += [Expr.make("parameter", attr=Parameter(group, None)) for group in groups]
    token = naming.set(note)
    try:
        returned = function(*symbols)
    except DefinitionError:
        raise
    except Exception as error:
        line = _failing_line(error.__traceback__, where_defined)
        hint = _NOT_AN_ARRAY if Expr.__name__ in str(error) else ""
        raise _error_at(line, function.__name__, f"{error}{hint}\n  {_supported()}") from error
    finally:
        naming.reset(token)

    outputs = _outputs(function, returned, states, where_defined)
    try:
        check_parameters(outputs, groups, first_named.keys())
    except ParameterError as error:
        raise _error_at(first_named.get(error.block, where_defined), function.__name__, str(error)) from None
    gates = dict.fromkeys(block.gate for block in first_named if block.gate is not None)
    return Traced(states, groups, tuple(gates), outputs)


class ParameterError(ValueError):
    """A parameter block is used such that its shape is undefined."""

    def __init__(self, block: Parameter, message: str):
        super().__init__(message)
        self.block = block


def parameter_kinds(outputs: tuple[Expr, ...]) -> dict[Parameter, str]:
    """The kind of every block that the outputs use: ``input`` (H, I), ``recurrent`` (H, H) or ``vector`` (H,).

    Raises:
        ParameterError: when one block is used as two kinds.
    """
    kinds: dict[Parameter, str] = {}

    def use(leaf: Expr, kind: str) -> None:
        block = leaf.attr
        assert isinstance(block, Parameter)
        known = kinds.setdefault(block, kind)
        if known != kind:
            uses = {"input": "a matrix times x", "recurrent": "a matrix times a state", "vector": "a vector"}
            raise ParameterError(
                block,
                f"{block} is used as {uses[known]} and as {uses[kind]}; give each use its own parameter",
            )

    for root in outputs:
        if root.op == "parameter":
            use(root, "vector")
    for node in topological(outputs):
        matrix = node.args[0] if node.op == "matmul" else None
        if matrix is not None:
            use(matrix, "input" if node.args[1].op == "input" else "recurrent")
        for arg in node.args[1:] if matrix is not None else node.args:
            if arg.op == "parameter":
                use(arg, "vector")
    return kinds


def check_parameters(outputs: tuple[Expr, ...], groups: tuple[str, ...], named: Iterable[Parameter]) -> None:
    """Check that every group and block has one shape and is used, and that the cell reads its input.

    Raises:
        ParameterError: otherwise.
    """
    kinds = parameter_kinds(outputs)
    for block in named:
        if block not in kinds:
            raise ParameterError(
                block,
                f"{block} is named but no returned value depends on it; return what uses it or remove it",
            )
    for group in groups:
        blocks = {block: kind for block, kind in kinds.items() if block.group == group}
        if not blocks:
            raise ParameterError(
                Parameter(group, None),
                f"parameter group {group} is never used; use it or take it out of the signature",
            )
        first, *rest = blocks.items()
        for block, kind in rest:
            if kind != first[1]:
                raise ParameterError(
                    block,
                    f"{first[0]} is of kind {first[1]} and {block} of kind {kind}, but the blocks of one group are "
                    "stored as one tensor; split the group in two",
                )
            if (block.gate is None) != (first[0].gate is None):
                raise ParameterError(
                    block, f"group {group} is used both with and without gate names; name a gate at every use"
                )
    if not any(kind == "input" for kind in kinds.values()):
        raise ParameterError(Parameter("", None), "x is never read; a cell needs a product with x, such as W @ x")


def _signature(
    function: Callable[..., object], where_defined: tuple[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    example = "write it like: def my_cell(x, h, /, W, R, b)"
    before: list[str] = []
    after: list[str] = []
    for name, argument in inspect.signature(function).parameters.items():
        if argument.kind is argument.POSITIONAL_ONLY:
            before.append(name)
        elif argument.kind is argument.POSITIONAL_OR_KEYWORD:
            after.append(name)
        else:
            raise _error_at(
                where_defined,
                function.__name__,
                f"*{name} and keyword-only arguments have no meaning; {example}",
            )
        if argument.default is not argument.empty:
            raise _error_at(where_defined, function.__name__, f"argument {name} must have no default; {example}")
    if not before or before[0] != "x":
        raise _error_at(where_defined, function.__name__, f"x and the states come first, before a /; {example}")
    if len(before) < 2:
        raise _error_at(
            where_defined,
            function.__name__,
            f"a recurrent cell needs a state after x, before the /; {example}",
        )
    if not after:
        raise _error_at(
            where_defined,
            function.__name__,
            f"the parameter groups come after the /; there are none; {example}",
        )
    return tuple(before[1:]), tuple(after)


def _outputs(
    function: Callable[..., object], returned: object, states: tuple[str, ...], where_defined: tuple[str, int]
) -> tuple[Expr, ...]:
    values = tuple(returned) if isinstance(returned, tuple | list) else (returned,)
    if len(values) != len(states):
        raise _error_at(
            where_defined,
            function.__name__,
            f"exactly one value per state must be returned, in the order ({', '.join(states)}); "
            f"got {len(values)}. The first is the output of the cell",
        )
    outputs: list[Expr] = []
    for state, value in zip(states, values, strict=True):
        try:
            node = lift(value)
        except TypeError as error:
            raise _error_at(
                where_defined, function.__name__, f"the value returned for state {state}: {error}"
            ) from None
        if node.op == "input" or node.op in COMPARISONS:
            kind = "x itself, which has the width of the input" if node.op == "input" else "a comparison"
            raise _error_at(where_defined, function.__name__, f"the value returned for state {state} is {kind}")
        outputs.append(node)
    return tuple(outputs)


def definition_error(function: Callable[..., object], message: str) -> DefinitionError:
    """The error of a cell's definition as a whole, with the file and line where it begins."""
    code = function.__code__
    return _error_at((code.co_filename, code.co_firstlineno), function.__name__, message)


def _error_at(line: tuple[str, int], cell_name: str, message: str) -> DefinitionError:
    return DefinitionError(f"{line[0]}:{line[1]}: cell {cell_name}: {message}")


_HERE = str(Path(__file__).parent)


def _failing_line(traceback: TracebackType | None, fallback: tuple[str, int]) -> tuple[str, int]:
    """The innermost line of the user's code that the error passed through."""
    line = fallback
    while traceback is not None:
        frame_file = traceback.tb_frame.f_code.co_filename
        if not frame_file.startswith(_HERE):
            line = (frame_file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _calling_line(fallback: tuple[str, int]) -> tuple[str, int]:
    frame = sys._getframe(1)
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_HERE):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return fallback
