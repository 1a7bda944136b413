"""A stack of layers laid out once for the engine, then run again and again on other tensors, for any number of steps.

A short sequence through a small network takes the engine less time than Python takes to look at its arguments. So what
can be known beforehand is: the words of every layer, with the places where the addresses of a run's tensors belong.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.equations import Cell
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import jobs, memory
from gatewise.kernels.cpu.forward import Prepared, prepare
from gatewise.kernels.cpu.inputs import side
from gatewise.kernels.cpu.jobs import Job, Rows
from gatewise.kernels.cpu.library import out_of_memory
from gatewise.kernels.cpu.order import Order, sorted_anew
from gatewise.kernels.cpu.products import ROWS_OF_PRODUCT, product_slices, product_words
from gatewise.kernels.cpu.program import program, template
from gatewise.kernels.cpu.split import Split, split
from gatewise.kernels.cpu.tape import MULTIPLY, RUN, SORT, WORD, Operation, Place, Tape
from gatewise.kernels.cpu.taping import one_pass

# What a frame tells the engine before the addresses of the states.
_X, _OUTPUT, _STEPS, _PLACES, _PRODUCT_SLICES, _LENGTHS, _STATES = range(7)


class Frame:
    """A stack laid out for a run; used by one thread at a time.

    Attributes:
        capacity: the most steps.
        play: runs on what is given; 1 when there is no memory for the engine's scratch, 2 for lengths out of range.
        given: addresses of x, (T, B, I), and of the output; T, T·B and the threads of a product with x; the address of
            the lengths, (B,) int64, when the stack is for ragged rows; from `FIRST_STATE` on addresses of every state
            before the run, and of every state after it, (D·L, B, H). What they point to is dense. The last word is the
            frame's own.
    """

    FIRST_STATE = _STATES
    __slots__ = ("_flags", "_tape", "capacity", "given", "play")

    def __init__(self, stack: "LaidOut", capacity: int) -> None:
        self.capacity = capacity
        first, layers = stack.layers[0].calls[0], stack.layers
        batch, hidden, dtype, directions = first.x.shape[1], first.hidden_size, first.x.dtype, stack.directions
        with torch.inference_mode(False):  # which would forbid to write to the flags outside it
            cut = torch.zeros((2, batch), dtype=torch.uint8, device="cpu")  # nothing is cut after a single step
            self._flags = cut[0]
        # A layer may read the output of the one below step by step, while it writes its own.
        between = [memory.empty((capacity * batch, directions * hidden), dtype) for _ in range(min(2, len(layers) - 1))]
        width = max(layer.width_of_products for layer in layers)
        products = [memory.empty((capacity * batch, width), dtype) for _ in range(directions if width else 0)]
        told = _Told([], [], [cut, between, products], _STATES + 2 * len(first.cell.states))
        orders = _orders(stack, capacity, told)
        for at, layer in enumerate(layers):
            x = between[(at - 1) % 2] if at else None
            output = between[at % 2] if at < len(layers) - 1 else None
            layer.tell(told, at, orders, x, output, products if layer.width_of_products else (), stack.slices)
        self._tape = Tape(dtype, told.operations, told.places, told.cut_at + 1, tuple(told.held))
        self.play, self.given = self._tape.play, self._tape.given
        self.given[_STEPS], self.given[_PLACES], self.given[_PRODUCT_SLICES] = 1, batch, 1

    def run(self, reset: Tensor | None = None) -> bool:
        """Run on what is given.

        Arguments:
            reset: for a single step, (B,) or () bool; true for rows that begin anew.

        Returns:
            Whether it did; not when a length is out of range.

        Raises:
            MemoryError: when there is none for the engine's scratch.
        """
        if reset is not None:
            self._flags.copy_(reset)
            self.given[-1] = self._flags.data_ptr()
        code = self.play()
        self.given[-1] = 0
        if code == 1:
            raise out_of_memory()
        return code == 0


class _Told(NamedTuple):
    """What a frame's tape is made of.

    Attributes:
        operations, places, held: as for `Tape`.
        cut_at: which of what is given is the address of the flags.
    """

    operations: list[Operation]
    places: list[Place]
    held: list[object]
    cut_at: int


def _orders(stack: "LaidOut", capacity: int, told: _Told) -> list[Order]:
    """The order of each direction; ragged rows are put in order at every run."""
    calls = stack.layers[0].calls
    batch, dtype = calls[0].x.shape[1], calls[0].x.dtype
    orders = [Order(1, batch, dtype, call.directions == "reverse", batch) for call in calls]
    if not stack.ragged:
        return orders
    width = stack.directions * calls[0].hidden_size * dtype.itemsize
    for at, order in enumerate(orders):
        # What is padding is zero in the output of the highest layer; nothing reads that of another.
        orders[at], sorting = sorted_anew(order, capacity, 0 if at else width)
        told.operations.append((SORT, sorting.words))
        address = sorting.words.buffer_info()[0]
        for words, which in ((sorting.steps, _STEPS), (sorting.lengths, _LENGTHS), (sorting.output, _OUTPUT)):
            told.places.extend((address + WORD * word, which, 0) for word in words)
    return orders


class _Layer:
    """What the words of a layer are made of, time and again."""

    def __init__(self, calls: Sequence[Call], prepared: Sequence[Prepared], units: bool) -> None:
        self.calls, self._prepared, self._units = calls, prepared, units
        first = calls[0]
        self._template = template(first.cell.equations, first.x.dtype, first.hidden_size, False)

    def tell(
        self,
        told: _Told,
        at: int,
        orders: Sequence[Order],
        x: Tensor | None,
        output: Tensor | None,
        products: Sequence[Tensor],
        slices: int,
    ) -> None:
        """Lay out the layer, which has number ``at``, on so many threads for each direction; else as for `_job`."""
        jobs_of = [self._job(number, order, x, output, products) for number, order in enumerate(orders)]
        words = array("q", [word for job in jobs_of for word in job.words])
        told.held.extend((jobs_of, words))
        call, states = self.calls[0], self.calls[0].cell.states
        of_hidden = call.hidden_size * call.x.dtype.itemsize
        for number, job in enumerate(jobs_of):
            begin = words.buffer_info()[0] + WORD * number * len(job.words)
            if products:
                product = array("q", (*self._product(number, x, products[number]), 1))
                where_x = product.buffer_info()[0]
                told.places.append((where_x + WORD * ROWS_OF_PRODUCT, _PLACES, 0))
                told.places.append((where_x + WORD * (len(product) - 1), _PRODUCT_SLICES, 0))
                told.operations.append((MULTIPLY, product))
            else:
                where_x = self._template.places(job, "x")[0]
            if x is None:
                told.places.append((where_x, _X, 0))
            for word, which in ((jobs.STEPS, _STEPS), (jobs.END, _STEPS), (jobs.CUT, told.cut_at)):
                told.places.append((begin + WORD * word, which, 0))
            of_states = (len(orders) * at + number) * call.x.shape[1] * of_hidden
            for index, state in enumerate(states):
                rows, before = self._template.places(job, f"previous {state}")
                told.places.append((before, _STATES + index, of_states))
                final = self._template.place_of_final(job, index)
                told.places.append((final, _STATES + len(states) + index, of_states))
                if output is None and index == 0:
                    told.places.append((rows, _OUTPUT, number * of_hidden))
                    told.places.append((self._template.places(job, f"next {state}")[0], _OUTPUT, number * of_hidden))
        told.operations.append((RUN, array("q", (words.buffer_info()[0], len(orders), slices))))

    @property
    def width_of_products(self) -> int:
        """How wide the rows are of what is made of x before the loop; 0 for nothing."""
        of_x = self._prepared[0].of_x
        return 0 if of_x is None or of_x.stacked is None else of_x.stacked.shape[0]

    def _product(self, direction: int, x: Tensor | None, out: Tensor) -> tuple[int, ...]:
        """The words of the product with x, (N, I); None when that is told later."""
        of_x = self._prepared[direction].of_x
        assert of_x is not None
        assert of_x.stacked is not None
        x = self.calls[direction].x[0] if x is None else x
        return product_words(x, of_x.stacked.t(), out[:, : of_x.stacked.shape[0]], bias=of_x.bias)

    def _job(
        self, direction: int, order: Order, x: Tensor | None, output: Tensor | None, products: Sequence[Tensor]
    ) -> Job:
        """The words of a direction.

        Arguments:
            direction: which.
            order: how rows and steps are processed.
            x: (N, I); None for one that is told later.
            output: (N, D·H); None, likewise.
            products: of every direction those with x, (N, X·H), if they are made before.
        """
        call, prepared = self.calls[direction], self._prepared[direction]
        batch, width, hidden, dtype = *call.x.shape[1:], call.hidden_size, call.x.dtype
        all_rows = jobs.SEQUENCE if order.index is None else jobs.INDEXED
        if products:
            rows: dict[str, Rows] = {"x": jobs.rows(all_rows, products[direction])}
        else:
            rows = {"x": (all_rows, 0, 0, width, 0) if x is None else jobs.rows(all_rows, x)}
        rows["saved"] = jobs.NOWHERE
        held: list[Tensor] = []
        for index, state in enumerate(call.cell.states):
            if index == 0:
                now, before = all_rows, jobs.SEQUENCE_PREVIOUS if order.index is None else jobs.INDEXED_PREVIOUS
                base = 0 if output is None else output.data_ptr() + direction * hidden * dtype.itemsize
                stride = len(self.calls) * hidden
            else:
                now, before, stride = jobs.ALTERNATING, jobs.ALTERNATING_PREVIOUS, hidden
                held.append(memory.empty((2 * batch, hidden), dtype))
                base = held[-1].data_ptr()
            rows[f"next {state}"] = (now, base, 0, stride, 0)
            rows[f"previous {state}"] = (before, base, 0, stride, hidden)
        between = program(call.cell.equations).forward.arrays.get("between", 0)
        if between:
            held.append(memory.empty((batch, between * hidden), dtype))
            rows["between"] = jobs.rows(jobs.PER_ROW, held[-1])
        return self._template.job(
            order,
            rows,
            prepared.vectors,
            prepared.packed,
            prepared.registers,
            None,
            [(f"previous {state}", 0, hidden) for state in call.cell.states],
            self._units,
            prepared.within,
            keep=tuple(held),
        )


class LaidOut:
    """A stack of layers, ready for sequences of so many rows.

    Attributes:
        layers: from the lowest.
        slices: threads of each direction.
        ragged: whether rows have lengths.
        free: frames that nobody uses at the moment. They are taken and given back in single operations that no other
            thread can come between.
    """

    __slots__ = ("free", "layers", "ragged", "slices")

    def __init__(self, layers: Sequence[_Layer], slices: int, ragged: bool) -> None:
        self.layers, self.slices, self.ragged = layers, slices, ragged
        self.free: list[Frame] = []

    @property
    def directions(self) -> int:
        """D."""
        return len(self.layers[0].calls)

    @property
    def bytes_per_step(self) -> int:
        """That a frame holds of every step."""
        first = self.layers[0].calls[0]
        width = max(layer.width_of_products for layer in self.layers)
        width += min(2, len(self.layers) - 1) * first.hidden_size
        each = width * first.x.dtype.itemsize + (8 if self.ragged else 0)
        return self.directions * first.x.shape[1] * each

    def frame(self, steps: int) -> Frame:
        """A new frame, for at least so many steps."""
        return Frame(self, 1 << (steps - 1).bit_length())


def can_be_laid_out(cell: Cell) -> bool:
    """Whether a cell computes of x alone no more than products and sums."""
    return side(cell.equations) is not None


@one_pass
def lay_out(layers: Sequence[Sequence[Call]], shared: Split, *, ragged: bool = False) -> LaidOut:
    """Lay out a stack.

    Arguments:
        layers: of every layer, from the lowest, the calls of its directions, of one or more rows, without lengths or
            resets. A call of one step is laid out for single steps, any other for sequences. Only shapes are read of
            what is not a parameter.
        shared: how a run is shared out; see `shared_by`.
        ragged: whether rows have lengths.
    """
    made = program(layers[0][0].cell.equations)
    ready = [
        _Layer(calls, [prepare(call, made, shared, kept=True) for call in calls], shared.units) for calls in layers
    ]
    return LaidOut(ready, shared.slices, ragged)


def shared_by(call: Call, steps: int, directions: int = 1) -> tuple[Split, int]:
    """How runs of so many steps are shared out among threads, and their widest product with x."""
    blocks = program(call.cell.equations).recurrent_blocks
    batch, hidden = call.x.shape[1], call.hidden_size
    width = max(call.x.shape[2], directions * hidden)
    inputs = len(program(call.cell.equations).inputs)
    return split(batch, hidden, steps, blocks, directions), product_slices(steps * batch, width, inputs * hidden)
