"""Random cells, emitted as C++, compiled and run by the engine, against the reference: outputs and every gradient."""

from collections.abc import Iterator

import pytest

from csrc.tests.build import compiler
from gatewise.cells import lookup, names
from gatewise.compiler.builtin import built_in, translation_unit
from gatewise.compiler.constants import symbol
from gatewise.compiler.emit import emit
from gatewise.compiler.program import MAX_PRODUCTS, Program
from gatewise.equations import Cell, cell, sigmoid, tanh
from tests.combinations import examples
from tests.compiler.agreement import furthest, outcome, shaken
from tests.compiler.compiled import compiled_cells
from tests.compiler.random_cells import some_cells
from tests.kernels.calls import DIRECTIONS, call_of, on_engine, on_reference
from tests.kernels.cpu.workspaces import full_of_nan
from tests.kernels.engine import needs_engine
from tests.user_cells import USER_CELLS

HOW_MANY = examples(24)


@cell
def subtracted(x, h, /, W, R, b):
    return tanh(W @ x + b) - R @ h


@cell
def coupled(x, h, /, W, R, b):
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    return (1 - f) * tanh(W.n @ x + b.n)


@cell
def decaying(x, h, /, W, R, b):
    return h - sigmoid(W @ x + R @ h + b)


@cell
def euler_step(x, h, /, W, R, b):
    return h + 0.1 * (tanh(W @ x + b) - R @ h)


UNDER_A_MINUS = {one.name: one for one in (subtracted, coupled, decaying, euler_step)}


@cell
def shared_block(x, h, /, W, R):
    """One block has two products; the gradient of the second is adjacent to that of a block with one."""
    s = sigmoid(W.d @ x)
    return tanh(R.d @ h) + tanh(R.d @ s) + tanh(R.c @ h)


@cell
def constants(x, h, /, W, R, b):
    """Constants beside a product with x, as a factor, and multiplied by a matrix."""
    f = sigmoid(W.f @ x + R.f @ h + 1.0)
    return f * h + sigmoid(2.0) * tanh(W.n @ x + R.n @ h + R.m @ sigmoid(1.0) + b.n)


@cell
def one_constant(x, h, /, W, R):
    return tanh(W @ x + R @ h + 0.5)


OTHERS = {one.name: one for one in (shared_block, constants, one_constant)}


def table() -> dict[str, tuple[Cell, str]]:
    """By their equations, different cells and their prefixes; the same in every run."""
    found = {made.equations: (made, f"random_{index}") for index, made in enumerate(some_cells(HOW_MANY, seed=0))}
    for index, made in enumerate(some_cells(HOW_MANY, seed=1, reductions=True)):
        found[made.equations] = made, f"reducing_{index}"
    for name, made in (USER_CELLS | UNDER_A_MINUS | OTHERS).items():
        found[made.equations] = made, f"user_{name}"
    return found


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Cell]]:
    made = table()
    with compiled_cells(made, tmp_path_factory.mktemp("emitted")):
        yield [one for one, _ in made.values()]


@needs_engine
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
def test_random_cells_agree_with_the_reference(compiled: list[Cell]):
    compared = 0
    for seed, made in enumerate(compiled):
        directions = DIRECTIONS[seed % 3]
        for options in ({}, {"lengths": [5, 0, 3, 5, 1], "reset": True}):
            call = call_of(made, directions, steps=5, batch=5, hidden_size=5 + seed % 9, seed=seed, **options)
            expected = outcome(on_reference, call)
            if furthest(outcome(on_reference, shaken(call)), expected) > 1e-8:
                continue  # it compares what is equal but for rounding
            with full_of_nan():
                actual = outcome(on_engine, call)
            assert furthest(actual, expected) <= 1e-10, f"{made.text}\n{directions} {options}"
            compared += 1
    assert compared >= HOW_MANY


def programs() -> list[Program]:
    return [emit(*one) for one in (*built_in().values(), *table().values())]


@pytest.mark.parametrize(("name", "deltas"), [("subtracted", 2), ("coupled", 2), ("decaying", 1), ("euler_step", 2)])
def test_a_product_under_a_minus(name: str, deltas: int):
    """Its negative gradient is stored once, for the transposed product and for the gradient of the matrix."""
    made = emit(UNDER_A_MINUS[name], "cell").backward
    assert made.arrays["delta"] == deltas


def test_engine_tables_are_consistent():
    for made in programs():
        for direction in (made.forward, made.backward):
            for stage in direction.stages:
                assert (
                    all(len(product.blocks) <= MAX_PRODUCTS for product in stage.products) or direction is made.backward
                )
                assert stage.outputs >= max((product.first for product in stage.products), default=-1) + 1
                for product in stage.products:
                    assert product.operand.array in direction.arrays
                    width = len(product.blocks) if direction is made.backward else 1
                    assert product.operand.block + width <= direction.arrays[product.operand.array]
        # Every function is defined once, and every function that is defined is called.
        for function in made.functions:
            assert made.source.count(f"void {function}(") == 1
        assert made.source.count("template <class T> void") == len(made.functions)


def test_the_unit_is_the_same_every_time():
    """So that nothing is compiled again that has not changed."""
    assert translation_unit(emit(*one) for one in built_in().values()) == translation_unit(
        emit(*one) for one in built_in().values()
    )


def test_products_of_one_operand_are_merged():
    for name in names():
        made = emit(lookup(name), "cell")
        for stage in made.forward.stages:
            operands = [product.operand for product in stage.products]
            assert len(operands) == len(set(operands)), f"{name} multiplies an operand twice"


def test_programs_are_exported_with_their_functions_for_every_number_type():
    made = emit(lookup("lstm"), "one")
    text = translation_unit([made])
    assert f"const Program {symbol('one')} = {{GATEWISE_ABI, " in text
    for function in made.functions:
        assert f"{function}<float>, {function}<double>," in text
