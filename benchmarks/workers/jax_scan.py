"""JAX: `lax.scan` over the cell's graph under jit, products with x taken for all steps at once before it.

It is what Flax's recurrent layers do, less their product with x in every step.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import numpy
from jax import lax  # pyright: ignore[reportMissingImports]
from jax import numpy as jnp  # pyright: ignore[reportMissingImports]

from benchmarks.workers.request import Prepared, Refusal, Request
from gatewise.compiler import Plan, plan
from gatewise.equations import Cell, Expr, Parameter, topological
from gatewise.equations.operations import OPERATIONS

Parameters = Mapping[str, Any]


def version() -> str:
    """Name and version."""
    return f"jax {jax.__version__}"


def prepare(request: Request, threads: int) -> Prepared | Refusal:
    """A compiled function for a request."""
    if request.stream:
        return Refusal("lax.scan is for whole sequences")
    if len(request.parameters) > 1:
        return Refusal("lax.scan is timed in one direction")
    made = plan(Cell.from_text(request.text))
    (parameters,) = request.parameters
    # Two sets of weights by turns, so that in training no call can reuse what it made of the last one's.
    sets = [jax.device_put(parameters)]
    if request.training:
        sets.append(jax.tree.map(lambda array: array + 1e-6, sets[0]))
    x, gradient = jax.device_put(request.x), jax.device_put(request.gradient)

    def infer(weights: Parameters, x: Any, gradient: Any) -> Any:
        return output(made, weights, x)

    def train(weights: Parameters, x: Any, gradient: Any) -> Any:
        value, pull = jax.vjp(lambda weights, x: output(made, weights, x), weights, x)
        return value, pull(gradient)

    compiled = jax.jit(train if request.training else infer)
    turn = [0]

    def call() -> Any:
        return jax.block_until_ready(compiled(sets[turn[0]], x, gradient))

    def compute() -> list[numpy.ndarray]:
        turn[0] = 0
        if not request.training:
            return [numpy.asarray(call())]
        value, (weights, projected) = call()
        return [numpy.asarray(array) for array in (value, projected, *(weights[group] for group in parameters))]

    def change() -> None:
        turn[0] = (turn[0] + 1) % len(sets)

    return Prepared(compute, call, change)


def output(made: Plan, weights: Parameters, x: Any) -> Any:
    """The output (T, B, H) of a cell from a state of zeros."""
    cell = made.cell
    hidden = next(weights[group].shape[-1] for group in cell.groups if cell.shape_of(group) == "recurrent")
    blocks: dict[Expr, Any] = {Expr.make("units"): hidden}
    for group in cell.groups:
        gates = cell.gates_of(group)
        for gate, block in zip(gates, jnp.split(weights[group], len(gates)), strict=True):
            blocks[Expr.make("parameter", attr=Parameter(group, gate))] = block
    fixed = dict(blocks)
    for node in made.hoisted:
        _evaluate(node, fixed)

    from_x = dict(fixed)
    stacked = jnp.concatenate([blocks[product.args[0]] for product in made.input_products])
    products = jnp.split(x @ stacked.T, len(made.input_products), axis=-1)
    from_x.update(zip(made.input_products, products, strict=True))
    sequences = [jnp.broadcast_to(_evaluate(node, from_x), (*x.shape[:2], hidden)) for node in made.input_projections]
    transposed = {
        operand: jnp.concatenate([blocks[product.args[0]] for product in together]).T
        for stage in made.stages
        for operand, together in stage.operands.items()
    }
    states = [Expr.make("state", attr=name) for name in cell.states]

    def step(before: tuple[Any, ...], inputs: list[Any]) -> tuple[tuple[Any, ...], Any]:
        values = {
            **fixed,
            **dict(zip(states, before, strict=True)),
            **dict(zip(made.input_projections, inputs, strict=True)),
        }
        for stage in made.stages:
            for operand, together in stage.operands.items():
                result = _evaluate(operand, values) @ transposed[operand]
                values.update(zip(together, jnp.split(result, len(together), axis=-1), strict=True))
            for node in stage.work:
                _evaluate(node, values)
        after = tuple(_evaluate(node, values) for node in made.outputs)
        return after, after[0]

    start = tuple(jnp.zeros((x.shape[1], hidden), x.dtype) for _ in states)
    return lax.scan(step, start, sequences)[1]


def _evaluate(root: Expr, values: dict[Expr, Any]) -> Any:
    for node in topological([root]) if root not in values else ():
        if node in values or node.op in ("matmul", "input", "state"):
            continue
        if node.op == "constant":
            values[node] = node.attr
        elif all(arg in values for arg in node.args):
            operands = [values[arg] for arg in node.args]
            if node.op == "sum":
                values[node] = operands[0].sum(-1, keepdims=True)
            else:
                values[node] = resolve_name(OPERATIONS[node.op].implementation("jax"))(*operands)
    return values[root]
