"""The definition of one elementwise operation: value, derivative, notation, implementations."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from gatewise.equations.expression import COMPARISONS, Expr

# How tightly a printed expression binds, from loose to tight.
CHOICE, SUM, PRODUCT, MATRIX, ATOM = range(5)

Target: TypeAlias = Literal["cpp", "torch", "jax"]
TARGETS: Final[dict[Target, str]] = {"cpp": "C++", "torch": "torch", "jax": "JAX"}


class MissingImplementation(ValueError):
    """An operation has no implementation for a target."""


class Notation(NamedTuple):
    """How an operation is printed.

    A text with ``{}`` encloses the operands, as ``|{}|``; any other is a name followed by the operands in parentheses.

    Attributes:
        unicode: for a terminal.
        latex: for paper.
        squares: whether the square is printed as name²(a).
        binding: how tightly the printed text binds.
    """

    unicode: str
    latex: str
    squares: bool = False
    binding: int = ATOM


class Range(NamedTuple):
    """The values that an operation can have.

    >>> str(Range(-1, 1)), str(Range(low=0, closed=True))
    ('(−1, 1)', '[0, ∞)')

    Attributes:
        low, high: the ends, finite or not.
        closed: whether ``low`` itself is a value.
    """

    low: float = -math.inf
    high: float = math.inf
    closed: bool = False

    def __str__(self) -> str:
        low, high = (f"{end:g}".replace("inf", "∞").replace("-", "−") for end in (self.low, self.high))
        return f"{'[' if self.closed else '('}{low}, {high})"


REALS: Final = Range()


@dataclass(frozen=True)
class Operation:
    """One operation, elementwise over units.

    Attributes:
        name: as in nodes and canonical texts.
        arity: number of operands.
        fold: its value for numbers, in double precision; for a comparison, whether it holds; None where there is
            nothing to compute.
        derivative: maps the gradient of the value, the value and the operands to the gradients of the operands; None
            for an operand without a gradient. Subgradients at ties and kinks are torch's.
        notation: how it is printed; or an equivalent expression to print instead; None for arithmetic, which has
            rules of its own.
        cpp: C++ on vectors, a format of the operands.
        torch, jax: the dotted name of a function.
        onnx: the name of an operator of ONNX (opset 18), or several names, applied one after the other; or an
            equivalent expression of other operations.
        infix: the sign between its two operands in C++, Python and JavaScript.
        rounded: whether ``fold`` is correctly rounded, hence the same on every machine.
        expensive: whether it costs many times as much as an addition.
        singular: index of the operand that can make the derivative infinite. It is replaced where the value is not
            needed (padding), since 0 times infinity is NaN.
        range: the values it can have.
        unsaturated: maps a fraction of the largest slope to the open range of values at which the slope exceeds it;
            None for operations that never saturate.
        opposite: for a comparison, its negation (NaN aside).
    """

    name: str
    arity: int
    fold: Callable[..., float] | None
    derivative: Callable[..., tuple[Expr | None, ...]] | None
    notation: Notation | Callable[..., Expr] | None
    _: KW_ONLY
    cpp: str | None = None
    torch: str | None = None
    jax: str | None = None
    onnx: str | Callable[..., Expr] | None = None
    infix: str = ""
    rounded: bool = False
    expensive: bool = False
    singular: int | None = None
    range: Range = REALS
    unsaturated: Callable[[float], Range] | None = None
    opposite: str = ""

    @property
    def comparison(self) -> bool:
        """Whether it is a condition of ``where``, without a value of its own."""
        return self.name in COMPARISONS

    @property
    def activation(self) -> bool:
        """Whether it is a function of one value, such as sigmoid."""
        return self.arity == 1 and self.function

    @property
    def gating(self) -> bool:
        """Whether its values lie between 0 and 1, as those of a multiplicative gate."""
        return self.range[:2] == (0, 1)

    @property
    def function(self) -> bool:
        """Whether equations call it by name rather than by an operator sign."""
        return not self.infix and self.name != "neg"

    def implementation(self, target: Target) -> str:
        """The code or function that computes it on a target.

        Raises:
            MissingImplementation: when the table has none.
        """
        found: str | None = getattr(self, target)
        if found is None:
            raise MissingImplementation(f"operation {self.name} has no {TARGETS[target]} implementation")
        return found
