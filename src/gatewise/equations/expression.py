"""The expression graph of a cell's equations.

Nodes are immutable and interned: two nodes with the same operation, operands and payload are one object. Common
subexpressions are therefore shared, and ``is`` compares expressions.
"""

import math
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from enum import IntEnum
from operator import attrgetter
from typing import Final, Literal, NamedTuple, TypeAlias

Attribute: TypeAlias = "str | float | Parameter | Mask | None"


class Parameter(NamedTuple):
    """A block of a parameter group: ``W.i`` is the block of gate ``i`` in group ``W``; without a gate, the group."""

    group: str
    gate: str | None

    def __str__(self) -> str:
        return self.group if self.gate is None else f"{self.group}.{self.gate}"


class Mask(NamedTuple):
    """Random factors of the units, drawn by the layer that runs the cell.

    Attributes:
        kind: ``dropout``: 0 or 1/(1 − p), the same at all steps of a sequence, and 1 in evaluation; ``zoneout``: 0 or
            1, drawn at every step, and 1 − p in evaluation.
        name: identifies it in the cell; masks of one name are the same.
    """

    kind: Literal["dropout", "zoneout"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def each_step(self) -> bool:
        """Whether it is drawn at every step rather than once for each sequence."""
        return self.kind == "zoneout"


LEAVES: Final = frozenset({"input", "state", "parameter", "constant", "units", "mask"})
COMPARISONS: Final = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


class Width(IntEnum):
    """How many values an expression has, from few to many; operands of fewer values are repeated for the others."""

    NUMBER = 0  # the same for all rows
    ROW = 1  # one for each row (sequence)
    UNITS = 2  # one for each row and unit


_NARROW = {"constant": Width.NUMBER, "units": Width.ROW, "sum": Width.ROW}
_PRODUCTS: Final = frozenset({"matmul", "matmul_transposed"})

_interned: "weakref.WeakValueDictionary[tuple[object, ...], Expr]" = weakref.WeakValueDictionary()
_interning = threading.RLock()  # a signal handler may make nodes


class Expr:
    """A node of the graph: an operation, its operands, and for a leaf its payload.

    Arithmetic on nodes builds nodes. A node has no truth value and no length: equations are elementwise over the
    units of a layer, and control flow cannot depend on a value while they are traced.
    """

    __slots__ = ("__weakref__", "args", "attr", "op", "width")

    op: str
    args: tuple["Expr", ...]
    attr: Attribute
    width: Width

    @staticmethod
    def make(op: str, *args: "Expr", attr: Attribute = None) -> "Expr":
        """The node with this operation and these operands; no simplification."""
        # repr distinguishes -0.0 from 0.0 and gives every NaN the same key.
        payload = repr(attr) if isinstance(attr, float) else attr
        key = (op, payload, *(id(arg) for arg in args))
        with _interning:
            node = _interned.get(key)
            if node is None:
                node = object.__new__(Expr)
                node.op, node.args, node.attr = op, args, attr
                node.width = _width(op, args)
                _interned[key] = node
            return node

    def __repr__(self) -> str:
        if self.op in LEAVES:
            return f"Expr({self.op} {self.attr})" if self.attr is not None else f"Expr({self.op})"
        return f"Expr({self.op}, {len(self.args)} operands)"

    def __bool__(self) -> bool:
        raise TypeError(
            "the value of an expression is not known while the equations are traced, so `if`, `and`, `or`, `not`, "
            "`max` and `min` cannot decide on it; use where(condition, a, b), maximum(a, b) or minimum(a, b) "
            "from gatewise.equations"
        )

    def __iter__(self) -> Iterator["Expr"]:
        raise TypeError("an expression is elementwise over the units of a layer; it cannot be indexed or iterated")

    def __getitem__(self, index: object) -> "Expr":
        raise TypeError("an expression is elementwise over the units of a layer; it cannot be indexed or iterated")

    def __float__(self) -> float:
        raise TypeError(
            "an expression has no numeric value while the equations are traced; use the functions of "
            "gatewise.equations (sigmoid, tanh, exp, …) instead of those of math, numpy or torch"
        )

    # Otherwise numpy would handle the operator and build an array of expressions.
    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __add__(self, other: "Operand") -> "Expr":
        return elementwise("add", self, other)

    def __radd__(self, other: "Operand") -> "Expr":
        return elementwise("add", other, self)

    def __sub__(self, other: "Operand") -> "Expr":
        return elementwise("sub", self, other)

    def __rsub__(self, other: "Operand") -> "Expr":
        return elementwise("sub", other, self)

    def __mul__(self, other: "Operand") -> "Expr":
        return elementwise("mul", self, other)

    def __rmul__(self, other: "Operand") -> "Expr":
        return elementwise("mul", other, self)

    def __truediv__(self, other: "Operand") -> "Expr":
        return elementwise("div", self, other)

    def __rtruediv__(self, other: "Operand") -> "Expr":
        return elementwise("div", other, self)

    def __neg__(self) -> "Expr":
        return elementwise("neg", self)

    def __pos__(self) -> "Expr":
        return self

    def __abs__(self) -> "Expr":
        return elementwise("abs", self)

    def __pow__(self, exponent: object) -> "Expr":
        raise TypeError("** is not supported; write a product, or exp(a * log(b)) where b is positive")

    def __matmul__(self, other: object) -> "Expr":
        return product(self, other)

    def __rmatmul__(self, other: object) -> "Expr":
        return product(other, self)

    def __getattr__(self, gate: str) -> "Expr":
        if self.op == "parameter" and isinstance(self.attr, Parameter) and not gate.startswith("_"):
            if self.attr.gate is not None:
                raise AttributeError(f"{self.attr} is the block of one gate; {self.attr}.{gate} does not exist")
            return parameter(self.attr.group, gate)
        raise AttributeError(
            f"an expression has no attribute {gate!r}; equations are elementwise over units: "
            "use the functions of gatewise.equations"
        )

    def __lt__(self, other: "Operand") -> "Expr":
        return elementwise("lt", self, other)

    def __le__(self, other: "Operand") -> "Expr":
        return elementwise("le", self, other)

    def __gt__(self, other: "Operand") -> "Expr":
        return elementwise("gt", self, other)

    def __ge__(self, other: "Operand") -> "Expr":
        return elementwise("ge", self, other)

    def __eq__(self, other: "Operand") -> "Expr":  # type: ignore[override]
        return elementwise("eq", self, other)

    def __ne__(self, other: "Operand") -> "Expr":  # type: ignore[override]
        return elementwise("ne", self, other)


def _width(op: str, args: tuple[Expr, ...]) -> Width:
    if op in _NARROW:
        return _NARROW[op]
    return max((arg.width for arg in args), default=Width.UNITS) if op not in _PRODUCTS else Width.UNITS


Operand: TypeAlias = "Expr | float"

# While a function is traced: called with each parameter block it names.
naming: ContextVar[Callable[[Parameter], None] | None] = ContextVar("naming", default=None)


def constant(value: float) -> Expr:
    """A finite number as an expression: a value that is the same for all units and steps.

    Numbers in equations are converted by themselves; this is for numbers that no expression meets.

    Raises:
        TypeError: when it is not finite.

    >>> from gatewise.equations import cell, constant, exp, tanh
    >>> @cell
    ... def leaky_integrator(x, h, /, W, R, b):
    ...     kept = exp(constant(-0.1))
    ...     return kept * h + (1 - kept) * tanh(W @ x + R @ h + b)
    """
    if not math.isfinite(value):
        raise TypeError(f"a constant must be finite, got {value}")
    return Expr.make("constant", attr=float(value))


def parameter(group: str, gate: str | None) -> Expr:
    """The node of a parameter block; while tracing, `naming` is called with it."""
    block = Parameter(group, gate)
    if (report := naming.get()) is not None:
        report(block)
    return Expr.make("parameter", attr=block)


def lift(value: object) -> Expr:
    """Convert an operand of an equation, a node or a number, to a node.

    Raises:
        TypeError: for anything else, and for numbers that are not finite.
    """
    if isinstance(value, Expr):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return constant(value)
    raise TypeError(
        f"equations are made of expressions and numbers; got {type(value).__name__} ({value!r:.60}). "
        "Write constants as plain Python numbers"
    )


def elementwise(op: str, *operands: object) -> Expr:
    """The node of an elementwise operation, its operands lifted and checked.

    Raises:
        TypeError: when x is not the operand of a product, or a comparison is not the first argument of ``where``.
    """
    args = tuple(lift(operand) for operand in operands)
    for position, arg in enumerate(args):
        if arg.op == "input":
            raise TypeError(
                "x has the width of the input, not of the hidden state, so it can only be used in a product: W @ x"
            )
        is_condition = op == "where" and position == 0
        if arg.op in COMPARISONS and not is_condition:
            raise TypeError("a comparison can only be the first argument of where(condition, a, b)")
        if is_condition and arg.op not in COMPARISONS:
            raise TypeError("the first argument of where must be a comparison, such as h > 0")
    return Expr.make(op, *args)


def product(matrix: object, operand: object) -> Expr:
    """The node of ``matrix @ operand``: a parameter block times x, or times an expression of width H.

    Raises:
        TypeError: when the left side is not a parameter block, or the right side has no width.
    """
    if not isinstance(matrix, Expr) or matrix.op != "parameter":
        raise TypeError(
            "the left side of @ must be a parameter such as W.i: write W.i @ x or R.i @ h; the elementwise product is *"
        )
    right = lift(operand)
    if right.op == "constant" or right.op in COMPARISONS or right.width is Width.ROW:
        found = "a sum or mean over units" if right.width is Width.ROW else "a number or a comparison"
        raise TypeError(f"the right side of @ must be x or an expression of width H, not {found}")
    return Expr.make("matmul", matrix, right)


def over_units(operand: object) -> Expr:
    """The node of the sum of an expression over the units of the layer: one value for each row.

    Raises:
        TypeError: for x, a comparison, or what has one value for each row already.
    """
    node = lift(operand)
    if node.op == "input":
        raise TypeError("x has the width of the input; a sum or norm over units takes a product such as W @ x")
    if node.op in COMPARISONS or node.width is not Width.UNITS:
        found = "a comparison" if node.op in COMPARISONS else "a number, or a sum or mean over units"
        raise TypeError(f"a sum or norm over units takes an expression of width H, not {found}")
    return Expr.make("sum", node)


def topological(roots: Iterable[Expr], operands: Callable[[Expr], Sequence[Expr]] = attrgetter("args")) -> list[Expr]:
    """All nodes reachable from the roots, operands before their users, in order of first use.

    Args:
        roots: the nodes to start from.
        operands: returns the nodes that a node depends on.
    """
    order: list[Expr] = []
    seen: set[Expr] = set()
    pending: list[tuple[Expr, bool]] = [(root, False) for root in reversed(list(roots))]
    while pending:
        node, ready = pending.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            pending.append((node, True))
            pending.extend((arg, False) for arg in reversed(operands(node)))
    return order
