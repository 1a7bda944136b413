"""The words by which the engine is told of one direction of one layer."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.compiler.emit import Direction
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.order import Order

# Multiply-adds that are run at once: at most a tenth of a second, and hundreds of times what a further call costs.
CHUNK = 1_000_000_000
# What the elementwise work on a unit costs, in multiply-adds.
ELEMENTWISE = 64
# Where these words of a job stand.
_STEPS, _BACKWARD, _BEGIN, _END = 0, 3, 5, 6

# Array kinds, in the engine's order.
SEQUENCE, SEQUENCE_PREVIOUS, PER_ROW, ALTERNATING, ALTERNATING_PREVIOUS, GRADIENT_ARRIVING, ABSENT = range(7)


class Rows(NamedTuple):
    """Where the rows of an array stand.

    Attributes:
        kind: how a row is found at a step.
        base: the tensor, its last dimension dense.
        stride: elements between rows.
        other: what stands before the first step, or after the last one backward; rows dense or all the same.
    """

    kind: int
    base: Tensor | None = None
    stride: int = 0
    other: Tensor | None = None

    def words(self) -> tuple[int, int, int, int, int]:
        """The five words of the engine's array."""
        base = 0 if self.base is None else self.base.data_ptr()
        if self.other is None:
            return self.kind, base, 0, self.stride, 0
        return self.kind, base, self.other.data_ptr(), self.stride, self.other.stride(0)


class Final(NamedTuple):
    """A copy at the end: from which array, to what (B, H)."""

    array: str
    to: Tensor


@dataclass
class Job:
    """One direction, laid out for the engine; keeps alive what it points to.

    Attributes:
        words: the engine's.
        work: of one step, in multiply-adds.
        keep: what the words point to.
    """

    words: list[int]
    work: int
    keep: list[object] = field(default_factory=list)


def job(
    direction: Direction,
    functions: Sequence[int],
    order: Order,
    hidden_size: int,
    backward: bool,
    rows: dict[str, Rows],
    vectors: Sequence[Tensor],
    packed: Sequence[Tensor],
    blocks: int,
    sums: Tensor | None,
    finals: Sequence[Final],
    zeros: Tensor,
    split_units: bool,
) -> Job:
    """Lay out one direction.

    Arguments:
        direction: the emitted work.
        functions: the addresses of the stages' functions.
        order: how rows and steps are processed.
        hidden_size: H.
        backward: whether the steps run backward.
        rows: by the names of ``direction.arrays`` where they stand.
        vectors: the values of ``direction.vectors``.
        packed: the weights of every product, packed.
        blocks: registers per output in a strip.
        sums: (slices, sums, H), zero; or None.
        finals: what is copied at the end.
        zeros: (H,) zeros.
        split_units: whether threads share out units rather than rows.
    """
    number = {name: at for at, name in enumerate(direction.arrays)}
    arrays = array("q")
    work = ELEMENTWISE
    for name in direction.arrays:
        arrays.extend(rows[name].words())
    weights = iter(packed)
    products = array("q")
    counts: list[tuple[int, int]] = []
    for stage in direction.stages:
        counts.append((len(products), len(stage.products)))
        for product in stage.products:
            count = len(product.blocks)
            depth, outputs = (count * hidden_size, 1) if backward else (hidden_size, count)
            offset = product.operand.block * hidden_size
            address = next(weights).data_ptr()
            work += depth * outputs
            products.extend(
                (number[product.operand.array], offset, depth, outputs, product.first, address, product.add)
            )
    first_product = products.buffer_info()[0]
    stages = array("q")
    for stage, function, (begin, count) in zip(direction.stages, functions, counts, strict=True):
        stages.extend((function, first_product + 8 * begin, count, stage.outputs))
    ends = array("q")
    for final in finals:
        ends.extend((number[final.array], final.to.data_ptr(), final.to.stride(0)))
    vector_addresses = array("q", [vector.data_ptr() for vector in vectors])

    def address_of(tensor: Tensor | None) -> int:
        return 0 if tensor is None else tensor.data_ptr()

    words = [
        order.steps,
        order.rows,
        hidden_size,
        int(backward),
        int(order.reverse),
        0,
        order.steps,
        address_of(order.at),
        address_of(order.active),
        address_of(order.length),
        address_of(order.cut),
        blocks,
        stages.buffer_info()[0],
        len(direction.stages),
        arrays.buffer_info()[0],
        len(direction.arrays),
        vector_addresses.buffer_info()[0],
        address_of(sums),
        0 if sums is None else sums.shape[1],
        ends.buffer_info()[0],
        len(finals),
        zeros.data_ptr(),
        int(split_units),
    ]
    keep = [arrays, products, stages, ends, vector_addresses, order, rows, vectors, packed, sums, finals, zeros]
    return Job(words, order.rows * hidden_size * work, keep)


def run(dtype: torch.dtype, jobs: Sequence[Job], slices: int) -> None:
    """Run some directions side by side, each on so many threads.

    Between chunks of time Python sees to its signals, so that a run of minutes can be interrupted.
    """
    for begin, end in chunks(jobs[0].words[_STEPS], sum(one.work for one in jobs), bool(jobs[0].words[_BACKWARD])):
        for one in jobs:
            one.words[_BEGIN], one.words[_END] = begin, end
        engine(dtype).run(dtype, [word for one in jobs for word in one.words], len(jobs), slices)


def chunks(steps: int, work: int, backward: bool) -> Iterator[tuple[int, int]]:
    """Steps that are run at once, from and to, in the order in which they are run."""
    each = max(1, CHUNK // work)
    starts = range(0, steps, each)
    for start in reversed(starts) if backward else starts:
        yield start, min(start + each, steps)


def zero_rows(hidden_size: int, dtype: torch.dtype) -> Tensor:
    """(1, H) of zeros that stands for any number of rows: stride 0."""
    return torch.zeros(hidden_size, dtype=dtype).expand(1, hidden_size).as_strided((1, hidden_size), (0, 1))
