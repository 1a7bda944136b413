"""What the language knows of one elementwise operation."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from gatewise.equations.expression import COMPARISONS, Expr

# How tightly what is printed holds together, from loose to tight.
CHOICE, SUM, PRODUCT, MATRIX, ATOM = range(5)

Target: TypeAlias = Literal["cpp", "torch", "jax"]
TARGETS: Final[dict[Target, str]] = {"cpp": "C++", "torch": "torch", "jax": "JAX"}


class MissingSpelling(ValueError):
    """An operation cannot be written for a target."""


class Notation(NamedTuple):
    """How an operation is printed.

    A text with ``{}`` is set around the operands, as ``|{}|``; any other is a name, with the operands in parentheses.

    Attributes:
        unicode: for a terminal.
        latex: for paper.
        squares: whether the square is printed as name²(a).
        binding: of what is printed.
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
        name: as nodes and canonical texts have it.
        arity: how many operands.
        fold: its value for numbers, in double precision; of a comparison, whether it holds; None where there is
            nothing to compute.
        derivative: from the gradient of the value, the value and the operands to the operands' shares of the
            gradient; None in place of a share that does not exist. At ties and kinks the shares are torch's.
        notation: how it is printed; or the expression that is printed in its place; None for arithmetic, which
            is printed by its own rules.
        cpp: C++ on vectors, a format of the operands.
        torch, jax: the dotted name of a function.
        infix: the sign between its two operands in C++, Python and JavaScript.
        rounded: whether ``fold`` is correctly rounded, and so the same on every machine.
        expensive: whether it costs many times what a sum does.
        singular: the operand that can make the derivative infinite. Where the value is not needed (steps in padding) it
            is replaced, since 0 times infinity is NaN.
        range: the values it can have.
        steep: for a part of the largest slope the range of values, ends excluded, at which the slope is more; None for
            what is nowhere flat.
        opposite: of a comparison, the one that holds where it does not (NaN aside).
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
    infix: str = ""
    rounded: bool = False
    expensive: bool = False
    singular: int | None = None
    range: Range = REALS
    steep: Callable[[float], Range] | None = None
    opposite: str = ""

    @property
    def comparison(self) -> bool:
        """Whether it decides in ``where``, and has no value of its own."""
        return self.name in COMPARISONS

    @property
    def activation(self) -> bool:
        """Whether it is a function of one value, as the one that makes a gate of a sum."""
        return self.arity == 1 and self.function

    @property
    def gating(self) -> bool:
        """Whether its values lie between 0 and 1, as those of a gate that lets a part through."""
        return self.range[:2] == (0, 1)

    @property
    def function(self) -> bool:
        """Whether equations call it by its name, and not by a sign."""
        return not self.infix and self.name != "neg"

    def spelling(self, target: Target) -> str:
        """How it is written for a target.

        Raises:
            MissingSpelling: when the table has none.
        """
        found: str | None = getattr(self, target)
        if found is None:
            raise MissingSpelling(f"operation {self.name} has no {TARGETS[target]} spelling")
        return found
