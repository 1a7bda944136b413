"""The functions that may stand in a cell's equations, all elementwise over units."""

from gatewise.equations.expression import Expr, Operand, elementwise


def sigmoid(a: Operand) -> Expr:
    """Logistic sigmoid, 1 / (1 + exp(−a))."""
    return elementwise("sigmoid", a)


def tanh(a: Operand) -> Expr:
    """Hyperbolic tangent."""
    return elementwise("tanh", a)


def relu(a: Operand) -> Expr:
    """max(a, 0); its derivative at 0 is 0."""
    return elementwise("relu", a)


def exp(a: Operand) -> Expr:
    """Exponential."""
    return elementwise("exp", a)


def expm1(a: Operand) -> Expr:
    """exp(a) − 1, accurate near 0."""
    return elementwise("expm1", a)


def log(a: Operand) -> Expr:
    """Natural logarithm."""
    return elementwise("log", a)


def log1p(a: Operand) -> Expr:
    """log(1 + a), accurate near 0."""
    return elementwise("log1p", a)


def sqrt(a: Operand) -> Expr:
    """Square root."""
    return elementwise("sqrt", a)


def absolute(a: Operand) -> Expr:
    """Absolute value (``abs(a)`` works too); its derivative at 0 is 0."""
    return elementwise("abs", a)


def minimum(a: Operand, b: Operand) -> Expr:
    """The smaller of two; where they are equal each gets half of the gradient."""
    return elementwise("minimum", a, b)


def maximum(a: Operand, b: Operand) -> Expr:
    """The larger of two; where they are equal each gets half of the gradient."""
    return elementwise("maximum", a, b)


def where(condition: Expr, a: Operand, b: Operand) -> Expr:
    """``a`` where the comparison holds, else ``b``; no gradient flows through the comparison.

    >>> from gatewise.equations import cell
    >>> @cell(cite="leaky ReLU")
    ... def leaky(x, h, /, W, R, b):
    ...     a = W @ x + R @ h + b
    ...     return where(a > 0, a, 0.01 * a)
    """
    return elementwise("where", condition, a, b)
