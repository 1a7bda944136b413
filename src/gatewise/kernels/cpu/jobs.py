"""The words by which the engine is told of one direction of one layer."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.compiler.cpp import INPUTS
from gatewise.compiler.emit import Direction
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.taping import Words, current

# Multiply-adds that are run at once: at most a tenth of a second, and hundreds of times what a further call costs.
CHUNK = 1_000_000_000
# What the elementwise work on a unit costs, in multiply-adds.
ELEMENTWISE = 64
# Where these words of a job stand.
STEPS, _BACKWARD, _BEGIN, END, CUT, _ARRAYS, _FINALS = 0, 3, 5, 6, 10, 14, 19
# Which of them are addresses.
_POINTERS = (7, 8, 9, 10, 12, 14, 16, 17, 19, 21, 25, 26, 27)

# Array kinds, in the engine's order.
(
    SEQUENCE,
    SEQUENCE_PREVIOUS,
    PER_ROW,
    ALTERNATING,
    ALTERNATING_PREVIOUS,
    GRADIENT_ARRIVING,
    ABSENT,
    INDEXED,
    INDEXED_PREVIOUS,
) = range(9)


Rows = tuple[int, int, int, int, int]
"""How a row is found at a step, the first row's address, what stands before the first step (or after the last one,
backward), and the elements between rows of both."""

NOWHERE: Rows = (ABSENT, 0, 0, 0, 0)


def rows(kind: int, base: Tensor, other: tuple[int, int] = (0, 0)) -> Rows:
    """The rows of a tensor (rows, …) with dense features; ``other`` is an address and a stride."""
    return kind, base.data_ptr(), other[0], base.stride(0), other[1]


class Inputs(NamedTuple):
    """What the products with x of each step need, when they are not made before the loop.

    Attributes:
        width: I.
        packed: by stage the packed weights; None where the stage reads nothing of x.
        start: by stage what is added to the products, packed; None for zero.
    """

    width: int
    packed: Sequence[Tensor | None]
    start: Sequence[Tensor | None]


@dataclass(slots=True)
class Job:
    """One direction, laid out for the engine; keeps alive what it points to.

    Attributes:
        words: the engine's.
        work: of one step, in multiply-adds.
        nested: words that the words point to.
        keep: what else these point to.
    """

    words: list[int]
    work: int
    nested: tuple[Words, ...]
    keep: tuple[object, ...]


class Template:
    """The words of one direction of a cell that are the same in every call.

    Arguments:
        direction: the emitted work.
        functions: the addresses of the stages' functions.
        hidden_size: H.
        backward: whether the steps run backward.
    """

    def __init__(self, direction: Direction, functions: Sequence[int], hidden_size: int, backward: bool) -> None:
        self._hidden, self._backward = hidden_size, backward
        self.arrays = tuple(direction.arrays)
        number = {name: at for at, name in enumerate(self.arrays)}
        self._input = number.get(INPUTS, 0)
        self._number = number
        self._work = ELEMENTWISE
        products, stages = array("q"), array("q")
        self._packed_at: list[int] = []  # where the address of a product's weights belongs
        self._products_at: list[int] = []  # where the address of a stage's products belongs, and its offset
        offsets: list[int] = []
        for stage, function in zip(direction.stages, functions, strict=True):
            offsets.append(len(products))
            for product in stage.products:
                count = len(product.blocks)
                depth, outputs = (count * hidden_size, 1) if backward else (hidden_size, count)
                self._work += depth * outputs
                self._packed_at.append(len(products) + 5)
                offset = product.operand.block * hidden_size
                products.extend((number[product.operand.array], offset, depth, outputs, product.first, 0, product.add))
            self._products_at.append(len(stages) + 1)
            stages.extend(
                (function, 0, len(stage.products), stage.outputs, 0, 0, stage.inputs.start, len(stage.inputs))
            )
        self._offsets = [8 * offset for offset in offsets]
        self._products, self._stages = products, stages

    def job(
        self,
        order: Order,
        rows: Mapping[str, Rows],
        vectors: Sequence[Tensor],
        packed: Sequence[Tensor],
        blocks: int,
        sums: Tensor | None,
        finals: Sequence[tuple[str, int, int]],
        units: bool,
        inputs: Inputs | None = None,
        norms: tuple[str, Tensor] | None = None,
        keep: tuple[object, ...] = (),
    ) -> Job:
        """Lay out a call.

        Arguments:
            order: how rows and steps are processed.
            rows: by the names of ``arrays`` where they stand.
            vectors: the values of ``direction.vectors``, dense.
            packed: the weights of every product, packed.
            blocks: registers per output in a strip.
            sums: (slices, sums, H), zero; or None.
            finals: what is copied at the end: from which array, to which address, how many elements between rows.
            units: whether threads share out units rather than rows.
            inputs: for products with x step by step, of which the rows then are x; None when they are these products.
            norms: an array, and where to put norms of its blocks; see `shown.Shown`.
            keep: whatever else must stay alive.
        """
        arrays = array("q")
        for name in self.arrays:
            arrays.extend(rows[name])
        products, stages = self._products[:], self._stages[:]
        for at, weights in zip(self._packed_at, packed, strict=True):
            products[at] = weights.data_ptr()
        first_product = products.buffer_info()[0]
        for at, offset in zip(self._products_at, self._offsets, strict=True):
            stages[at] = first_product + offset
        work = self._work
        if inputs is not None:
            for at, weights, start in zip(self._products_at, inputs.packed, inputs.start, strict=True):
                if weights is not None:
                    stages[at + 3] = weights.data_ptr()
                    work += inputs.width * stages[at + 6]
                if start is not None:
                    stages[at + 4] = start.data_ptr()
        ends = array("q")
        for name, address, stride in finals:
            ends.extend((self._number[name], address, stride))
        vector_addresses = array("q", [vector.data_ptr() for vector in vectors])
        zeros = zero_row(self._hidden, order.dtype)
        words = [
            order.steps,
            order.rows,
            self._hidden,
            self._backward,
            order.reverse,
            0,
            order.steps,
            _address(order.at),
            _address(order.active),
            _address(order.length),
            _address(order.cut),
            blocks,
            stages.buffer_info()[0],
            len(stages) // 8,
            arrays.buffer_info()[0],
            len(self.arrays),
            vector_addresses.buffer_info()[0],
            _address(sums),
            0 if sums is None else sums.shape[1],
            ends.buffer_info()[0],
            len(finals),
            zeros.data_ptr(),
            units,
            self._input,
            0 if inputs is None else inputs.width,
            _address(order.index),
            _address(order.row),
            *self._norm_words(norms),
        ]
        nested = (
            Words(arrays, 5, (1, 2)),
            Words(products, 7, (5,)),
            Words(stages, 8, (0, 1, 4, 5)),
            Words(ends, 3, (1,)),
            Words.of_pointers(vector_addresses),
        )
        held = (zeros, order, vectors, packed, sums, inputs, norms, keep)
        return Job(words, order.rows * self._hidden * work, nested, held)

    def _norm_words(self, norms: tuple[str, Tensor] | None) -> tuple[int, int, int, int]:
        if norms is None:
            return (0, 0, 0, 0)
        name, to = norms
        return to.data_ptr(), self._number[name], to.shape[-1], to.shape[-2]

    def places(self, job: Job, name: str) -> tuple[int, int]:
        """Where two words of a job stand: an array's first row, and what stands before the first step."""
        array_at = job.words[_ARRAYS] + 8 * 5 * self._number[name]
        return array_at + 8, array_at + 16

    @staticmethod
    def place_of_final(job: Job, at: int) -> int:
        """Where the word stands that says where to the final of number ``at`` is copied."""
        return job.words[_FINALS] + 8 * (3 * at + 1)


@lru_cache(maxsize=64)
def zero_row(hidden_size: int, dtype: torch.dtype) -> Tensor:
    """(H,) of zeros, which with stride 0 stands for any number of rows; never written to."""
    return torch.zeros(hidden_size, dtype=dtype, device="cpu")


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def run(dtype: torch.dtype, jobs: Sequence[Job], slices: int) -> None:
    """Run some directions side by side, each on so many threads.

    Between chunks of time Python sees to its signals, so that a run of minutes can be interrupted.
    """
    steps = jobs[0].words[STEPS]
    for begin, end in chunks(steps, sum(one.work for one in jobs), bool(jobs[0].words[_BACKWARD])):
        for one in jobs:
            one.words[_BEGIN], one.words[END] = begin, end
        words = array("q", [word for one in jobs for word in one.words])
        engine(dtype).run(dtype, words, len(jobs), slices)
        if (writing := current()) is not None:
            writing.possible &= end - begin == steps  # else Python would not see to its signals
            nested = [part for one in jobs for part in one.nested]
            writing.run(Words(words, len(words) // len(jobs), _POINTERS), len(jobs), slices, nested, jobs)


def chunks(steps: int, work: int, backward: bool) -> Iterator[tuple[int, int]]:
    """Steps that are run at once, from and to, in the order in which they are run."""
    each = max(1, CHUNK // work)
    starts = range(0, steps, each)
    for start in reversed(starts) if backward else starts:
        yield start, min(start + each, steps)
