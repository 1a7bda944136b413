"""A program as C++ constants: the `Program` of `program.h` that the engine reads."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence

from gatewise.compiler.cpp import INPUT_PROJECTIONS, ROW_VALUES, SAVED_ROW_VALUES
from gatewise.compiler.parameter_passes import (
    PARAMETER,
    REDUCTIONS,
    RESULTS,
    SCRATCH,
    VECTORS,
    BlockGradient,
    ParameterPass,
)
from gatewise.compiler.program import MASK, NARROW, STATE_GRADIENTS, Direction, Program, VectorSource
from gatewise.equations.expression import Parameter
from gatewise.equations.masks import key_of

SUFFIXES = ("f32", "f64")


def symbol(prefix: str) -> str:
    """The name of the constant that holds the program with this prefix."""
    return f"{prefix}_program"


def constants(program: Program, inference: str | None = None) -> str:
    """C++ that defines the program; its functions must be declared before it.

    Every table is a separate constant, so that loading a library computes nothing.

    Args:
        program: the program.
        inference: ``float`` or ``double`` for the forward pass alone, in this type and for the file that has it; None
            for both passes in both types, exported.
    """
    return _Text(program, inference).text()


class _Text:
    def __init__(self, program: Program, inference: str | None) -> None:
        self._program, self._cell, self._prefix = program, program.plan.cell, program.prefix
        self._inference = inference
        self._lines: list[str] = []

    def text(self) -> str:
        program, cell, both = self._program, self._cell, self._inference is None
        groups = self._table("GroupInfo", "groups", (self._group(name) for name in cell.groups))
        input_projections = self._table(
            "InputInfo",
            "inputs",
            (f"{{{self._block(one.block)}, {self._vector(one.vector)}}}" for one in program.input_projections),
        )
        operands = self._table("OperandInfo", "operands", (f"{{{state}}}" for state in program.operand_states if both))
        outers = self._table(
            "OuterInfo",
            "outers",
            (
                f"{{{self._block(outer.blocks[0])}, {len(outer.blocks)}, {outer.delta}, {outer.operand}}}"
                for outer in program.outers
                if both
            ),
        )
        gradients = self._table("GradientInfo", "gradients", (self._gradient(one) for one in program.gradients if both))
        widths = cell.sizes.masks
        masks = self._table(
            "MaskInfo",
            "masks",
            (f"{{{key_of(one)}, {int(one.each_step)}, {_SIZES[widths[one]]}}}" for one in cell.masks),
        )
        states = self._table("Size", "states", (_SIZES[width] for width in cell.widths))
        passes = [
            self._row_pass("prologue", program.prologue),
            self._loop("forward", program.forward, program.forward_vectors, transposed=False),
            self._loop("backward", program.backward, program.backward_vectors, transposed=True) if both else "{}",
            self._row_pass("epilogue", program.epilogue) if both else "{}",
        ]
        counts = (
            len(cell.states),
            len(cell.groups),
            len(program.input_projections),
            *(
                len(of_backward) if both else 0
                for of_backward in (program.outers, program.operand_states, program.gradients)
            ),
            program.saved_blocks,
        )
        fields = [
            "GATEWISE_ABI",
            _quoted(cell.name),
            *map(str, counts),
            groups,
            input_projections,
            outers,
            operands,
            gradients,
            masks,
            str(len(cell.masks)),
            states,
        ]
        if program.saved_row_values or program.saved_projections:
            passes += [str(program.saved_row_values), str(program.saved_projections)]
        name = symbol(self._prefix)
        if both:
            self._lines.append(f'extern "C" {{ [[gnu::visibility("default")]] extern const Program {name}; }}')
        self._lines += [f"{'' if both else 'static '}const Program {name} = {{{', '.join([*fields, *passes])}}};"]
        return "\n".join(self._lines) + "\n"

    def _table(self, kind: str, name: str, rows: Iterable[str]) -> str:
        rows = list(rows)
        if not rows:
            return "nullptr"
        full = f"{self._prefix}_{name}"
        self._lines.append(f"static const {kind} {full}[] = {{{', '.join(rows)}}};")
        return full

    def _group(self, name: str) -> str:
        sizes = self._cell.sizes
        columns = _SIZES[sizes.columns[name]] if name in sizes.columns else "-1"
        divided = ", 1" if name in self._cell.heads else ""
        return f"{{{_quoted(name)}, {len(self._cell.gates_of(name))}, {_SIZES[sizes.rows[name]]}, {columns}{divided}}}"

    def _block(self, block: Parameter) -> str:
        return f"{{{self._cell.groups.index(block.group)}, {self._cell.gates_of(block.group).index(block.gate)}}}"

    def _vector(self, source: VectorSource | None) -> str:
        if source is None:
            return "{-1, -1}"
        return self._block(source) if isinstance(source, Parameter) else f"{{-1, {source}}}"

    def _gradient(self, gradient: BlockGradient) -> str:
        sides = [f"{{{int(slot.array == RESULTS)}, {slot.block}}}" for slot in gradient.vectors]
        return f"{{{self._block(gradient.block)}, {', '.join([*sides, '{0, -1}'][:2])}}}"

    def _arrays(
        self,
        name: str,
        arrays: dict[str, int],
        role: Callable[[str], tuple[str, int]],
        narrow: Collection[str] = (),
    ) -> str:
        rows: list[str] = []
        for array, blocks in arrays.items():
            kind, index = role(array)
            size = "size_one" if array in (ROW_VALUES, SAVED_ROW_VALUES) else _width(array in narrow)
            rows.append(f"{{{kind}, {index}, {blocks}, {size}}}")
        return self._table("ArrayInfo", f"{name}_arrays", rows)

    def _pass(
        self,
        name: str,
        stages: Sequence[str],
        products: Sequence[str],
        blocks: Sequence[str],
        arrays: tuple[str, int],
        vectors: Sequence[str],
        reductions: int,
    ) -> str:
        tables = (
            self._table("StageInfo", f"{name}_stages", stages),
            self._table("ProductInfo", f"{name}_products", products),
            self._table("BlockInfo", f"{name}_blocks", blocks),
        )
        read = self._table("VectorInfo", f"{name}_vectors", vectors)
        return (
            f"{{{tables[0]}, {len(stages)}, {tables[1]}, {tables[2]}, {arrays[0]}, {arrays[1]}, "
            f"{read}, {len(vectors)}, {reductions}}}"
        )

    def _stage(self, function: str, first: int, products: int, outputs: int, input_blocks: range) -> str:
        works = ", ".join(
            f"{function}<{number}>" if function and self._inference in (None, number) else "nullptr"
            for number in ("float", "double")
        )
        inputs = f"{input_blocks.start}, {len(input_blocks)}"
        return f"{works}, {first}, {products}, {outputs}, {inputs}"

    def _loop(self, name: str, direction: Direction, vectors: Sequence[VectorSource], *, transposed: bool) -> str:
        numbers = list(direction.arrays)
        stages: list[str] = []
        products: list[str] = []
        blocks: list[str] = []
        for stage in direction.stages:
            first = len(products)
            for product in stage.products:
                products.append(
                    f"{{{numbers.index(product.operand.array)}, {product.operand.block}, {len(blocks)}, "
                    f"{len(product.blocks)}, {product.first}, {int(transposed)}, {int(product.add)}}}"
                )
                blocks += map(self._block, product.blocks)
            row = self._stage(stage.function, first, len(stage.products), stage.outputs, stage.input_blocks)
            kind = "whole_rows" if stage.whole_rows else "products_then_work"
            totals = f", {stage.totals.start}, {len(stage.totals)}" if stage.totals else ""
            stages.append(f"{{{kind}, {_width(stage.narrow)}, {row}{totals}}}")
        arrays = self._arrays(name, direction.arrays, self._role, direction.narrow)
        read = [self._vector(source) for source in vectors]
        return self._pass(name, stages, products, blocks, (arrays, len(numbers)), read, len(direction.reductions))

    def _role(self, array: str) -> tuple[str, int]:
        whole = {
            INPUT_PROJECTIONS: "role_input",
            "saved": "role_saved",
            "between": "role_scratch",
            "output gradient": "role_output_gradient",
            ROW_VALUES: "role_row_values",
            SAVED_ROW_VALUES: "role_saved_row_values",
            STATE_GRADIENTS: "role_state_gradients",
            "delta": "role_delta",
        }
        if array.removesuffix(NARROW) in whole:
            return whole[array.removesuffix(NARROW)], int(array.endswith(NARROW))
        if array.startswith(STATE_GRADIENTS):
            return "role_state_gradients", self._cell.states.index(array.removeprefix(f"{STATE_GRADIENTS} "))
        if array.startswith(MASK):
            return "role_mask", int(array.removeprefix(MASK))
        kind, _, which = array.partition(" ")
        if kind == "operand":
            return "role_operand", int(which)
        of_state = {"previous": "previous_state", "next": "next_state", "arriving": "arriving_gradient"}
        return f"role_{of_state.get(kind, 'sent_gradient')}", self._cell.states.index(which)

    def _row_pass(self, name: str, row: ParameterPass) -> str:
        numbers = list(row.arrays)
        stages: list[str] = []
        products: list[str] = []
        blocks: list[str] = []
        for stage in row.stages:
            first = len(products)
            for product in stage.products:
                products.append(
                    f"{{{numbers.index(product.operand.array)}, {product.operand.block}, {len(blocks)}, 1, "
                    f"{product.output}, {int(product.transposed)}, 0}}"
                )
                blocks.append(self._block(product.block))
            row_stage = self._stage(stage.function, first, len(stage.products), len(stage.products), range(0))
            stages.append(f"{{products_then_work, size_hidden, {row_stage}}}")
        arrays = self._arrays(name, row.arrays, self._row_role)
        return self._pass(name, stages, products, blocks, (arrays, len(numbers)), (), 0)

    def _row_role(self, array: str) -> tuple[str, int]:
        whole = {VECTORS: "role_vectors", REDUCTIONS: "role_sums", RESULTS: "role_results", SCRATCH: "role_scratch"}
        if array in whole:
            return whole[array], 0
        return "role_parameter", self._cell.groups.index(array.removeprefix(PARAMETER))


_SIZES = {"I": "size_input", "H": "size_hidden", "P": "size_projection"}


def _width(narrow: bool) -> str:
    return _SIZES["P" if narrow else "H"]


def _quoted(text: str) -> str:
    return json.dumps(text)
