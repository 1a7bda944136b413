"""The table of operations agrees with itself: values, derivatives, implementations."""

import inspect
import math
import string
from pkgutil import resolve_name

import pytest
import torch

from gatewise.compiler.simplify import number, simplify
from gatewise.equations.expression import COMPARISONS, Expr, constant
from gatewise.equations.operations import OPERATIONS, activation
from gatewise.equations.operations.operation import Operation

POINTS = {1: [(0.3,), (1.7,)], 2: [(0.3, 1.7), (1.7, 0.3)]}
COMPUTED = [operation for operation in OPERATIONS.values() if operation.fold and not operation.comparison]


def by_name(operation: Operation) -> str:
    return operation.name


@pytest.mark.parametrize("operation", COMPUTED, ids=by_name)
def test_derivatives_are_slopes_of_the_values(operation: Operation):
    assert operation.fold is not None
    assert operation.derivative is not None
    for index in POINTS[operation.arity]:
        value = operation.fold(*index)
        shares = operation.derivative(constant(1), constant(value), *map(constant, index))
        assert len(shares) == operation.arity
        for position, share in enumerate(shares):
            assert share is not None
            (slope,) = simplify([share], exact=False)
            low, high = ([*index[:position], index[position] + step, *index[position + 1 :]] for step in (-1e-6, 1e-6))
            found = (operation.fold(*high) - operation.fold(*low)) / 2e-6
            assert number(slope) == pytest.approx(found, rel=1e-6), (index, position)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=by_name)
def test_derivative_rules_take_gradient_value_and_operands(operation: Operation):
    assert (operation.derivative is None) == operation.comparison
    if operation.derivative is not None:
        assert len(inspect.signature(operation.derivative).parameters) == 2 + operation.arity


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=by_name)
def test_built_in_operations_are_implemented_for_every_target(operation: Operation):
    fields = {
        field for _, field, _, _ in string.Formatter().parse(operation.implementation("cpp")) if field is not None
    }
    assert fields == {str(index) for index in range(operation.arity)}
    for index in POINTS.get(operation.arity, []):
        actual = resolve_name(operation.implementation("torch"))(*(torch.tensor(x, dtype=torch.float64) for x in index))
        assert operation.fold is not None
        assert float(actual) == pytest.approx(float(operation.fold(*index)), rel=1e-15)
    assert operation.implementation("jax").startswith("jax.")


def test_jax_has_what_the_table_says():
    pytest.importorskip("jax")
    for operation in OPERATIONS.values():
        assert callable(resolve_name(operation.implementation("jax"))), operation.name


@pytest.mark.parametrize("operation", COMPUTED, ids=by_name)
def test_values_are_in_the_range(operation: Operation):
    assert operation.fold is not None
    low, high, closed = operation.range
    for x in (-3.0, -0.5, 0.0, 0.5, 3.0):
        try:
            value = operation.fold(*[x] * operation.arity)
        except (ValueError, ZeroDivisionError):
            continue
        assert low <= value < high if closed else low < value < high, x


@pytest.mark.parametrize("operation", [one for one in COMPUTED if one.unsaturated], ids=by_name)
def test_slopes_are_flat_outside_of_the_unsaturated_range(operation: Operation):
    assert operation.unsaturated is not None
    assert operation.fold is not None
    assert operation.derivative is not None
    slopes: dict[float, float] = {}
    for index in (step / 16 for step in range(-128, 129)):
        value = operation.fold(index)
        (share,) = operation.derivative(constant(1), constant(value), constant(index))
        assert share is not None
        slope = number(simplify([share], exact=False)[0])
        assert slope is not None
        slopes[value] = slope
    unsaturated = operation.unsaturated(0.05)
    flat = {value for value, slope in slopes.items() if slope < 0.05 * max(slopes.values())}
    assert flat == {value for value in slopes if not unsaturated.low < value < unsaturated.high}
    assert 0 < len(flat) < len(slopes)


def test_comparisons_match_python_and_have_opposites():
    comparisons = {name: operation for name, operation in OPERATIONS.items() if operation.comparison}
    assert set(comparisons) == COMPARISONS
    for name, operation in comparisons.items():
        opposite = comparisons[operation.opposite]
        assert opposite.opposite == name
        assert operation.fold is not None
        assert opposite.fold is not None
        for pair in ((1, 2), (2, 1), (1, 1)):
            assert operation.fold(*pair) != opposite.fold(*pair)


def test_activations_are_unary_functions():
    h = Expr.make("state", attr="h")
    found = {name for name in OPERATIONS if activation(Expr.make(name, *[h] * OPERATIONS[name].arity))}
    assert {"sigmoid", "tanh", "relu", "exp", "expm1", "log", "log1p", "sqrt", "abs"} <= found
    assert not {"neg", "add", "lt", "minimum", "where"} & found
    assert activation(h) is None


def test_ranges_as_text():
    assert [str(OPERATIONS[name].range) for name in ("tanh", "relu", "exp", "log")] == [
        "(−1, 1)",
        "[0, ∞)",
        "(0, ∞)",
        "(−∞, ∞)",
    ]
    assert math.isinf(OPERATIONS["log"].range.high)
