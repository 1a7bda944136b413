"""Random cells, emitted as C++, compiled and run by the engine, against the reference: outputs and every gradient."""

import ctypes
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import Phase, given, settings
from torch import Tensor

from csrc.tests.build import ENGINE, compiler
from gatewise.cells import lookup, names
from gatewise.compiler.builtin import built_in, translation_unit
from gatewise.compiler.emit import WIDEST, Program, emit
from gatewise.compiler.flags import flags
from gatewise.equations import Cell, cell, sigmoid, tanh
from gatewise.kernels import Call, cpu, reference
from gatewise.kernels.cpu import program
from gatewise.kernels.cpu.library import engine
from tests.compiler.random_cells import cells
from tests.kernels.calls import DIRECTIONS, call_of, flat, upstream_of
from tests.kernels.cpu.workspaces import full_of_nan
from tests.kernels.engine import needs_engine
from tests.user_cells import USER_CELLS

HOW_MANY = 32


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


def random_cells() -> dict[str, tuple[Cell, str]]:
    """By their equations, different cells and their prefixes; the same in every run."""
    found: dict[str, tuple[Cell, str]] = {}

    @settings(max_examples=HOW_MANY, database=None, derandomize=True, phases=[Phase.generate])
    @given(cells())
    def collect(cell: Cell) -> None:
        found.setdefault(cell.equations, (cell, f"random_{len(found)}"))

    collect()
    for name, made in (USER_CELLS | UNDER_A_MINUS).items():
        found[made.equations] = made, f"user_{name}"
    return found


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Cell]]:
    """Random cells that the engine finds beside the built-in ones, compiled as one translation unit."""
    folder = tmp_path_factory.mktemp("emitted")
    table = random_cells()
    source, library = folder / "cells.cpp", folder / "cells.so"
    source.write_text(translation_unit(emit(*one) for one in table.values()))
    command = compiler()
    assert command is not None
    options = [*flags(engine(torch.float64).instruction_set), "-O1", f"-I{ENGINE}", "-shared"]
    run = subprocess.run([*command, *options, source, "-o", library], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "error" not in run.stderr
    loaded = ctypes.CDLL(str(library))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "prefixes", lambda: {**built_in(), **table})
        patch.setattr(program, "engine", lambda dtype: SimpleNamespace(library=loaded))
        yield [made for made, _ in table.values()]


Run = Callable[[Call], tuple[Tensor, Sequence[Tensor]]]


def outcome(run: Run, call: Call) -> tuple[Tensor, ...]:
    """Output, final states and every gradient."""
    results = flat(run(call))
    above = upstream_of(results)
    return *results, *torch.autograd.grad(results, call.tensors, above, materialize_grads=True)


def furthest(came: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference, by the size of the tensor that it is in."""
    differences = [(a - b).abs().max() / (1 + b.abs().max()) for a, b in zip(came, expected, strict=True)]
    return torch.stack(differences).max().item()  # NaN if one is


def shaken(call: Call) -> Call:
    """The same call on values that differ a little more than by rounding."""
    return call.with_tensors(
        tuple((tensor * (1 + 1e-12 * torch.rand_like(tensor))).detach().requires_grad_() for tensor in call.tensors)
    )


@needs_engine
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler here")
def test_random_cells_agree_with_the_reference(compiled: list[Cell]):
    compared = 0
    for seed, made in enumerate(compiled):
        directions = DIRECTIONS[seed % 3]
        for options in ({}, {"lengths": [5, 0, 3, 5, 1], "reset": True}):
            call = call_of(made, directions, steps=5, batch=5, hidden_size=5 + seed % 9, seed=seed, **options)
            expected = outcome(reference.run, call)
            if furthest(outcome(reference.run, shaken(call)), expected) > 1e-8:
                continue  # it compares what is equal but for rounding
            with full_of_nan():
                came = outcome(cpu.run, call)
            assert furthest(came, expected) <= 1e-10, f"{made.text}\n{directions} {options}"
            compared += 1
    assert compared >= HOW_MANY


def programs() -> list[Program]:
    return [emit(*one) for one in (*built_in().values(), *random_cells().values())]


@pytest.mark.parametrize(("name", "deltas"), [("subtracted", 2), ("coupled", 2), ("decaying", 1), ("euler_step", 2)])
def test_a_product_under_a_minus(name: str, deltas: int):
    """Its negative gradient is stored once, for the transposed product and for the gradient of the matrix."""
    made = emit(UNDER_A_MINUS[name], "cell").backward
    assert made.arrays["delta"] == deltas


def test_what_the_engine_is_told_is_consistent():
    for made in programs():
        for direction in (made.forward, made.backward):
            for stage in direction.stages:
                assert all(len(product.blocks) <= WIDEST for product in stage.products) or direction is made.backward
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


def test_products_of_one_operand_are_taken_together():
    for name in names():
        made = emit(lookup(name), "cell")
        for stage in made.forward.stages:
            operands = [product.operand for product in stage.products]
            assert len(operands) == len(set(operands)), f"{name} multiplies an operand twice"


def test_functions_are_exported_for_every_number_type(tmp_path: Path):
    made = emit(lookup("lstm"), "one")
    text = translation_unit([made])
    for function in made.functions:
        for suffix in ("f32", "f64"):
            assert f"GATEWISE_EXPORT void {function}_{suffix}(" in text
