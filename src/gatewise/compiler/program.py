"""A compiled cell: the C++ of its functions, and the tables that describe them to the engine."""

from dataclasses import dataclass
from typing import NamedTuple

from gatewise.compiler.cpp import (
    Slot,
)
from gatewise.compiler.parameter_passes import BlockGradient, ParameterPass
from gatewise.compiler.plan import Plan
from gatewise.equations.expression import Expr, Parameter

# The array of the total gradients of all states after a step, in order, for observers.
STATE_GRADIENTS = "state gradients"
# The suffix of arrays whose blocks have the width of a projection.
NARROW = " of projections"
MASK = "mask "  # prefix of the array name of a mask, followed by its number
# More products of one operand are divided into several tiles, whose accumulators fit the registers.
MAX_PRODUCTS = 4


class EmitError(ValueError):
    """A cell's equations cannot be compiled for the engine; other backends can run them."""


@dataclass(frozen=True)
class Product:
    """Blocks times one operand, forward; or, backward, transposed blocks times a run of gradients.

    Attributes:
        operand: the array, and the block of its rows where the operand begins.
        blocks: the parameter blocks.
        first: number of outputs of this stage before those of this product.
        add: whether this product accumulates into the output of an earlier one.
    """

    operand: Slot
    blocks: tuple[Parameter, ...]
    first: int
    add: bool


@dataclass(frozen=True)
class Stage:
    """Products and the function that reads them.

    Attributes:
        function: its name; empty if there is no elementwise work.
        products: the products computed before the function is called.
        outputs: total number of outputs of the products.
        input_blocks: range of blocks of the input projections that covers all that the function reads.
        totals: range of blocks of the row values that are the sums over units of this stage.
        whole_rows: whether the function takes whole rows: it has no products, and reads or sums values of rows.
        narrow: whether its units are those of a projection, P rather than H.
    """

    function: str
    products: tuple[Product, ...]
    outputs: int
    input_blocks: range
    totals: range = range(0)
    whole_rows: bool = False
    narrow: bool = False


@dataclass(frozen=True)
class Direction:
    """One pass over time, forward or backward.

    Attributes:
        stages: in order of execution.
        arrays: number of blocks of H units, of P, or of row values, in the rows of each array, by name.
        narrow: the arrays whose blocks have P units.
        vectors: loop-invariant expressions that the work reads.
        slots: where the values are stored that are used after the loop.
        reductions: loop-invariant expressions whose gradients the work accumulates.
    """

    stages: tuple[Stage, ...]
    arrays: dict[str, int]
    narrow: frozenset[str]
    vectors: tuple[Expr, ...]
    slots: dict[Expr, Slot]
    reductions: tuple[Expr, ...]


VectorSource = Parameter | int
"""Where a vector is stored: a block of a parameter group, or a block computed by the prologue."""


class InputProjection(NamedTuple):
    """A product with x, and at most one vector added to it."""

    block: Parameter
    vector: VectorSource | None


class OuterRun(NamedTuple):
    """Adjacent blocks of one group whose gradients are outer products with the same operand.

    Attributes:
        blocks: in gate order.
        delta: index of the first block in the array ``delta``; the others follow.
        operand: number of the operand; −1 for x.
    """

    blocks: tuple[Parameter, ...]
    delta: int
    operand: int


@dataclass(frozen=True)
class Program:
    """A compiled cell: C++ source, and the tables that `constants` emits.

    Attributes:
        plan: the execution plan.
        prefix: prefix of the function names.
        forward_source, backward_source: the functions of the prologue and the forward pass, and of the backward pass
            and the epilogue; templates over the number type.
        input_projections: in the order of their blocks in the array ``x``.
        forward, backward: the two passes over time.
        forward_vectors, backward_vectors: where the vectors that each pass reads are stored.
        prologue, epilogue: computations of parameters only, before and after the loops.
        outers: the gradients of matrices.
        operand_states: for each operand of ``outers`` the number of the previous state that it is; −1 for others.
        gradients: the gradients of parameters computed from reductions over steps and rows.
    """

    plan: Plan
    prefix: str
    forward_source: str
    backward_source: str
    input_projections: tuple[InputProjection, ...]
    forward: Direction
    backward: Direction
    forward_vectors: tuple[VectorSource, ...]
    backward_vectors: tuple[VectorSource, ...]
    prologue: ParameterPass
    epilogue: ParameterPass
    outers: tuple[OuterRun, ...]
    operand_states: tuple[int, ...]
    gradients: tuple[BlockGradient, ...]

    @property
    def source(self) -> str:
        """All functions."""
        return self.forward_source + self.backward_source

    @property
    def saved_blocks(self) -> int:
        """Number of blocks of H units saved for backward, besides the states."""
        return self.plan.backward.saved_blocks - self.saved_projections

    @property
    def saved_projections(self) -> int:
        """Number of blocks of P units saved for backward, besides the states."""
        return self.plan.saved_projections

    @property
    def saved_row_values(self) -> int:
        """Number of values that a row has once saved for backward, with padding."""
        return self.plan.backward.saved_row_values

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions in the source."""
        loops = (*self.forward.stages, *self.backward.stages)
        stages = (*self.prologue.stages, *loops, *self.epilogue.stages)
        return tuple(stage.function for stage in stages if stage.function)
