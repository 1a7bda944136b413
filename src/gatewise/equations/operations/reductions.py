"""Sums and norms over the units of a layer, which have one value for each row; all are compositions of one sum."""

from collections import Counter
from collections.abc import Iterable
from functools import reduce
from typing import overload

from gatewise.equations.expression import Expr, Parameter, over_units, parameter, topological
from gatewise.equations.operations.functions import sqrt

__all__ = ["layer_norm", "mean", "rms_norm", "sum"]

UNITS = Expr.make("units")  # H


def sum(a: Expr) -> Expr:
    """Sum over the units of the layer: one value for each row, repeated where it meets a value of each unit."""
    return over_units(a)


def mean(a: Expr) -> Expr:
    """Mean over the units of the layer: one value for each row.

    >>> from gatewise.equations import cell, tanh
    >>> @cell
    ... def centred(x, h, /, W, R):
    ...     a = W @ x + R @ h
    ...     return tanh(a - mean(a))
    """
    return _mean([a])


@overload
def layer_norm(a: Expr, gain: Expr | None = None, bias: Expr | None = None, *, eps: float = 1e-5) -> Expr: ...
@overload
def layer_norm(
    a: tuple[Expr, ...],
    gain: Expr | tuple[Expr, ...] | None = None,
    bias: Expr | tuple[Expr, ...] | None = None,
    *,
    eps: float = 1e-5,
) -> tuple[Expr, ...]: ...
def layer_norm(
    a: Expr | tuple[Expr, ...],
    gain: Expr | tuple[Expr, ...] | None = None,
    bias: Expr | tuple[Expr, ...] | None = None,
    *,
    eps: float = 1e-5,
) -> Expr | tuple[Expr, ...]:
    """Layer normalisation over units (Ba et al. 2016, arXiv:1607.06450, eq. 4), of one value or of several jointly.

    gain ⊙ (a − μ) / √(var + eps) + bias, with the mean μ and the variance (that of 1/N, computed from the centred
    values) over all units of all the values: N = H for one of them.

    Args:
        a: an expression of width H, or a tuple of them.
        gain, bias: vectors; of a tuple, a tuple of vectors, or a parameter group, of which each value takes the block
            of its gate: that of the parameters in it. Without them nothing is multiplied or added.
        eps: added to the variance.

    Returns:
        The normalised value, or a tuple of them.

    Raises:
        TypeError: when a value has no width H, or a group is given and a value has not the parameters of one gate.

    >>> from gatewise.equations import cell, sigmoid, tanh
    >>> @cell
    ... def normalised(x, h, /, W, R, a, s):
    ...     z, n = layer_norm((W.z @ x + R.z @ h, W.n @ x + R.n @ h), a, s)
    ...     return h + sigmoid(z) * (tanh(n) - h)
    >>> normalised.gates_of("a")
    ('z', 'n')
    """
    values = _values(a)
    centre = _mean(values)
    centred = [value - centre for value in values]
    return _scaled(a, centred, values, gain, bias, eps)


@overload
def rms_norm(a: Expr, gain: Expr | None = None, *, eps: float = 1e-5) -> Expr: ...
@overload
def rms_norm(
    a: tuple[Expr, ...], gain: Expr | tuple[Expr, ...] | None = None, *, eps: float = 1e-5
) -> tuple[Expr, ...]: ...
def rms_norm(
    a: Expr | tuple[Expr, ...], gain: Expr | tuple[Expr, ...] | None = None, *, eps: float = 1e-5
) -> Expr | tuple[Expr, ...]:
    """Division by the root mean square over units (Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4).

    gain ⊙ a / √(mean(a²) + eps); arguments, results and errors are those of `layer_norm`.
    """
    values = _values(a)
    return _scaled(a, values, values, gain, None, eps)


def _values(a: Expr | tuple[Expr, ...]) -> list[Expr]:
    values = list(a) if isinstance(a, tuple | list) else [a]
    if not values:
        raise TypeError("a norm of several values needs at least one")
    for value in values:
        over_units(value)
    return values


def _mean(values: list[Expr]) -> Expr:
    return over_units(_added(values)) / (UNITS if len(values) == 1 else len(values) * UNITS)


def _added(values: Iterable[Expr]) -> Expr:
    return reduce(lambda total, value: total + value, values)


def _scaled(
    a: Expr | tuple[Expr, ...],
    numerators: list[Expr],
    values: list[Expr],
    gain: Expr | tuple[Expr, ...] | None,
    bias: Expr | tuple[Expr, ...] | None,
    eps: float,
) -> Expr | tuple[Expr, ...]:
    per_unit = 1 / sqrt(_mean([one * one for one in numerators]) + eps)
    results = [one * per_unit for one in numerators]
    single = isinstance(a, Expr)
    if gain is not None:
        results = [by * one for one, by in zip(results, _blocks(gain, values, single, "gain"), strict=True)]
    if bias is not None:
        results = [one + by for one, by in zip(results, _blocks(bias, values, single, "bias"), strict=True)]
    return results[0] if single else tuple(results)


def _blocks(given: Expr | tuple[Expr, ...], values: list[Expr], single: bool, name: str) -> list[Expr]:
    """The vector of each value."""
    if isinstance(given, tuple | list):
        if single or len(given) != len(values):
            raise TypeError(f"{name}: expected a vector for each of {len(values)} values, got {len(given)}")
        return list(given)
    if single:
        return [given]
    if not (isinstance(given, Expr) and isinstance(given.attr, Parameter) and given.attr.gate is None):
        raise TypeError(f"{name}: expected a parameter group, or a tuple with a vector for each value")
    return [parameter(given.attr.group, _gate_of(value, name)) for value in values]


def _gate_of(value: Expr, name: str) -> str:
    """The gate of the parameters in a value."""
    gates = gates_in(value)
    if len(gates) != 1:
        raise TypeError(
            f"{name}: a group gives each value the block of its gate, and one here has the parameters of "
            f"{'gates ' + ', '.join(gates) if gates else 'no gate'}; give a tuple with a vector for each value"
        )
    return gates[0]


def gates_in(value: Expr) -> list[str]:
    """The gates of the parameters in an expression, up to the states."""
    blocks = [node.attr for node in topological([value]) if isinstance(node.attr, Parameter)]
    return list(dict.fromkeys(block.gate for block in blocks if block.gate is not None))


def is_sum_of_deviations(node: Expr) -> bool:
    """Whether a node is the sum of all differences of some values from their common mean over units: its sum is 0."""
    terms: list[Expr] = []
    pending = [node]
    while pending:
        term = pending.pop()
        if term.op == "add":
            pending += term.args
        elif term.op == "sub":
            terms.append(term)
        else:
            return False
    centre = terms[0].args[1]
    values = mean_of(centre)
    return (
        values is not None
        and all(term.args[1] is centre for term in terms)
        and Counter(term.args[0] for term in terms) == Counter(values)
    )


def mean_of(node: Expr) -> tuple[Expr, ...] | None:
    """The values of which a node is the mean over units, one or several jointly; None for any other node."""
    if node.op != "div" or node.args[0].op != "sum":
        return None
    total, count = node.args[0].args[0], node.args[1]
    if count is UNITS:
        return (total,)
    if not (count.op == "mul" and count.args[1] is UNITS and isinstance(count.args[0].attr, float)):
        return None
    values: list[Expr] = []
    for _ in range(int(count.args[0].attr) - 1):
        if total.op != "add":
            return None
        total, last = total.args
        values.append(last)
    return (total, *reversed(values))
