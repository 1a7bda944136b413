"""Writes cells as tables of C++ (`description.h`), from which the driver lays out jobs for the engine."""

import json
from collections.abc import Mapping

from gatewise.compiler.emit import Direction, Program
from gatewise.equations.expression import Expr, Parameter, topological


def tables(programs: Mapping[str, Program]) -> str:
    """The source that defines ``description::cells``, from their programs by name."""
    declarations: list[str] = []
    rows: list[str] = []
    for name, program in programs.items():
        for function in program.functions:
            for number, suffix in (("float", "f32"), ("double", "f64")):
                declarations.append(f'extern "C" void {function}_{suffix}(const gatewise::Block<{number}> &);')
        rows.append(_cell(name, program))
    lines = ['#include "description.h"', *declarations, "const std::vector<description::Cell> description::cells = {"]
    return "\n".join([*lines, *(f"    {row}," for row in rows), "};"]) + "\n"


def _cell(name: str, program: Program) -> str:
    forward, backward, outers = program.forward, program.backward, program.plan.backward.outers
    matrices = list(
        dict.fromkeys(block for stage in forward.stages for product in stage.products for block in product.blocks)
    )
    vectors = forward.vectors
    gradient_of_input: list[str] = []
    for node in program.inputs:
        assert node.op == "matmul" or [arg.op for arg in node.args].count("matmul") == 1, "a product and what is added"
        (block,) = (part.args[0].attr for part in topological([node]) if part.op == "matmul")
        (outer,) = (outer for outer in outers if outer.block == block)
        gradient_of_input.append(str(backward.slots[outer.delta].block))
    recurrent = [
        _braces(
            matrices.index(outer.block), backward.slots[outer.delta].block, _text(backward.slots[outer.operand].array)
        )
        for outer in outers
        if outer.operand.op != "input"
    ]
    sums = [_braces(_index(vectors, node), _added_to(program.inputs, node)) for node in backward.sums]
    return _braces(
        _text(name),
        _braces(*map(_text, program.plan.cell.states)),
        len(matrices),
        len(vectors),
        _braces(*(int(node.op == "add") for node in program.inputs)),
        _direction(forward, matrices, vectors),
        _direction(backward, matrices, vectors),
        _braces(*gradient_of_input),
        _braces(*recurrent),
        _braces(*sums),
    )


def _direction(direction: Direction, matrices: list[Parameter], vectors: tuple[Expr, ...]) -> str:
    numbers = list(direction.arrays)
    stages: list[str] = []
    for stage in direction.stages:
        products = [
            _braces(
                numbers.index(product.operand.array),
                product.operand.block,
                _braces(*(matrices.index(block) for block in product.blocks)),
                product.first,
                int(product.add),
            )
            for product in stage.products
        ]
        works = (f"{stage.function}_f32", f"{stage.function}_f64") if stage.function else ("nullptr", "nullptr")
        stages.append(_braces(*works, _braces(*products), stage.outputs, stage.inputs.start, len(stage.inputs)))
    arrays = [_braces(_text(array), blocks) for array, blocks in direction.arrays.items()]
    read = [_index(vectors, vector) for vector in direction.vectors]
    assert -1 not in read, "the driver takes vectors for independent, and cannot compute one from another"
    return _braces(_braces(*stages), _braces(*arrays), _braces(*read))


def _index(nodes: tuple[Expr, ...], wanted: Expr) -> int:
    """Where an expression stands; −1 for nowhere."""
    return next((at for at, node in enumerate(nodes) if node is wanted), -1)


def _added_to(inputs: tuple[Expr, ...], term: Expr) -> int:
    """The value computed from x that an expression is a term of; −1 for none."""
    return next((at for at, node in enumerate(inputs) if node.op == "add" and any(a is term for a in node.args)), -1)


def _text(value: str) -> str:
    return json.dumps(value)


def _braces(*values: object) -> str:
    return "{" + ", ".join(map(str, values)) + "}"
