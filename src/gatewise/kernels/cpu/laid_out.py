"""A stack of layers laid out once for the engine, then run again and again on other tensors, for any number of steps.

A short sequence through a small network takes the engine less time than Python takes to look at its arguments. So what
can be known beforehand is: the words of every layer, with the places where the addresses of a run's tensors belong.
"""

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.equations import Cell
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import jobs, memory
from gatewise.kernels.cpu.forward import Prepared, prepare
from gatewise.kernels.cpu.inputs import side
from gatewise.kernels.cpu.jobs import Job, Rows
from gatewise.kernels.cpu.library import out_of_memory
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.products import ROWS_OF_PRODUCT, product_slices, product_words
from gatewise.kernels.cpu.program import program, template
from gatewise.kernels.cpu.split import Split, split
from gatewise.kernels.cpu.tape import MULTIPLY, RUN, WORD, Operation, Place, Tape

# What a frame tells the engine before the addresses of the states.
_X, _OUTPUT, _STEPS, _PLACES, _PRODUCT_SLICES, _STATES = range(6)


class Frame:
    """A stack laid out for a run; used by one thread at a time.

    Attributes:
        capacity: the most steps.
        play: runs on what is given; 1 when there is no memory for the engine's scratch.
        given: addresses of x, (T, B, I), and of the output; T, T·B and the threads of a product with x; from
            `FIRST_STATE` on addresses of every state before the run, and of every state after it, (L, B, H). What they
            point to is dense. The last word is the frame's own.
    """

    FIRST_STATE = _STATES
    __slots__ = ("_flags", "_tape", "capacity", "given", "play")

    def __init__(self, layers: Sequence["_Layer"], slices: int, capacity: int) -> None:
        self.capacity = capacity
        first = layers[0].call
        batch, hidden, dtype, states = first.x.shape[1], first.hidden_size, first.x.dtype, first.cell.states
        with torch.inference_mode(False):  # which would forbid to write to the flags outside it
            cut = torch.zeros((2, batch), dtype=torch.uint8)  # nothing is cut after a single step
            self._flags = cut[0]
        cut_at = _STATES + 2 * len(states)
        # A layer may read the output of the one below step by step, while it writes its own.
        between = [memory.empty((capacity * batch, hidden), dtype) for _ in range(min(2, len(layers) - 1))]
        width = max(layer.width_of_products for layer in layers)
        products = memory.empty((capacity * batch, width), dtype) if width else None
        operations: list[Operation] = []
        places: list[Place] = []
        held: list[object] = [cut, between, products]
        of_a_state = batch * hidden * dtype.itemsize
        for at, layer in enumerate(layers):
            x = between[(at - 1) % 2] if at else None
            output = between[at % 2] if at < len(layers) - 1 else None
            job = layer.job(x, output, products)
            words = array("q", job.words)
            held += [job, words]
            if products is not None:
                product = array("q", (*layer.product(x, products), 1))
                address = product.buffer_info()[0]
                places.append((address + WORD * ROWS_OF_PRODUCT, _PLACES, 0))
                places.append((address + WORD * (len(product) - 1), _PRODUCT_SLICES, 0))
                operations.append((MULTIPLY, product))
                where_x = address
            else:
                where_x = layer.template.places(job, "x")[0]
            operations.append((RUN, array("q", (words.buffer_info()[0], 1, slices))))
            if x is None:
                places.append((where_x, _X, 0))
            for word, which in ((jobs.STEPS, _STEPS), (jobs.END, _STEPS), (jobs.CUT, cut_at)):
                places.append((words.buffer_info()[0] + WORD * word, which, 0))
            for number, state in enumerate(states):
                rows, before = layer.template.places(job, f"previous {state}")
                places.append((before, _STATES + number, at * of_a_state))
                after = _STATES + len(states) + number
                places.append((layer.template.place_of_final(job, number), after, at * of_a_state))
                if output is None and number == 0:
                    places.append((rows, _OUTPUT, 0))
                    places.append((layer.template.places(job, f"next {state}")[0], _OUTPUT, 0))
        self._tape = Tape(dtype, operations, places, cut_at + 1, tuple(held))
        self.play, self.given = self._tape.play, self._tape.given
        self.given[_STEPS], self.given[_PLACES], self.given[_PRODUCT_SLICES] = 1, batch, 1

    def run(self, reset: Tensor | None = None) -> None:
        """Run on what is given.

        Arguments:
            reset: for a single step, (B,) or () bool; true for rows that begin anew.

        Raises:
            MemoryError: when there is none for the engine's scratch.
        """
        if reset is not None:
            self._flags.copy_(reset)
            self.given[-1] = self._flags.data_ptr()
        if self.play():
            raise out_of_memory()
        self.given[-1] = 0


class _Layer:
    """What the words of a layer are made of, time and again."""

    def __init__(self, call: Call, prepared: Prepared, units: bool) -> None:
        self.call, self._prepared, self._units = call, prepared, units
        self.template = template(call.cell.equations, call.x.dtype, call.hidden_size, False)

    @property
    def width_of_products(self) -> int:
        """How wide the rows are of what is made of x before the loop; 0 for nothing."""
        of_x = self._prepared.of_x
        return 0 if of_x is None or of_x.stacked is None else of_x.stacked.shape[0]

    def product(self, x: Tensor | None, out: Tensor) -> tuple[int, ...]:
        """The words of the product with x, (N, I); None when that is told later."""
        of_x = self._prepared.of_x
        assert of_x is not None
        assert of_x.stacked is not None
        x = self.call.x[0] if x is None else x
        return product_words(x, of_x.stacked.t(), out[:, : of_x.stacked.shape[0]], bias=of_x.bias)

    def job(self, x: Tensor | None, output: Tensor | None, products: Tensor | None) -> Job:
        """The layer's words: for x (N, I), output (N, H) and products with x (N, X·H); None for those told later."""
        call, prepared = self.call, self._prepared
        batch, width, hidden, dtype = *call.x.shape[1:], call.hidden_size, call.x.dtype
        if products is not None:
            rows: dict[str, Rows] = {"x": jobs.rows(jobs.SEQUENCE, products)}
        else:
            rows = {"x": (jobs.SEQUENCE, 0, 0, width, 0) if x is None else jobs.rows(jobs.SEQUENCE, x)}
        rows["saved"] = jobs.NOWHERE
        held: list[Tensor] = []
        for index, state in enumerate(call.cell.states):
            now, before, base = jobs.SEQUENCE, jobs.SEQUENCE_PREVIOUS, 0 if output is None else output.data_ptr()
            if index:
                now, before = jobs.ALTERNATING, jobs.ALTERNATING_PREVIOUS
                held.append(memory.empty((2 * batch, hidden), dtype))
                base = held[-1].data_ptr()
            rows[f"next {state}"] = (now, base, 0, hidden, 0)
            rows[f"previous {state}"] = (before, base, 0, hidden, hidden)
        between = program(call.cell.equations).forward.arrays.get("between", 0)
        if between:
            held.append(memory.empty((batch, between * hidden), dtype))
            rows["between"] = jobs.rows(jobs.PER_ROW, held[-1])
        return self.template.job(
            Order(1, batch, dtype, False, batch),
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
        free: frames that nobody uses at the moment. They are taken and given back in single operations that no other
            thread can come between.
    """

    __slots__ = ("_layers", "_slices", "free")

    def __init__(self, layers: Sequence[_Layer], slices: int) -> None:
        self._layers, self._slices = layers, slices
        self.free: list[Frame] = []

    @property
    def bytes_per_step(self) -> int:
        """That a frame holds of every step."""
        first = self._layers[0].call
        width = max(layer.width_of_products for layer in self._layers)
        width += min(2, len(self._layers) - 1) * first.hidden_size
        return first.x.shape[1] * width * first.x.dtype.itemsize

    def frame(self, steps: int) -> Frame:
        """A new frame, for at least so many steps."""
        return Frame(self._layers, self._slices, 1 << (steps - 1).bit_length())


def can_be_laid_out(cell: Cell) -> bool:
    """Whether a cell computes of x alone no more than products and sums."""
    return side(cell.equations) is not None


def lay_out(calls: Sequence[Call], shared: Split) -> LaidOut:
    """Lay out a stack.

    Arguments:
        calls: of every layer, from the lowest; forward, of one or more rows, without lengths or resets. A call of one
            step is laid out for single steps, any other for sequences. Only shapes are read of what is not a parameter.
        shared: how a run is shared out; see `shared_by`.
    """
    made = program(calls[0].cell.equations)
    prepared = [prepare(call, made, shared, training=False) for call in calls]
    layers = [_Layer(call, one, shared.units) for call, one in zip(calls, prepared, strict=True)]
    return LaidOut(layers, shared.slices)


def shared_by(call: Call, steps: int) -> tuple[Split, int]:
    """How runs of so many steps are shared out among threads, and their widest product with x."""
    blocks = program(call.cell.equations).recurrent_blocks
    batch, hidden = call.x.shape[1], call.hidden_size
    width = max(call.x.shape[2], hidden)
    inputs = len(program(call.cell.equations).inputs)
    return split(batch, hidden, steps, blocks, 1), product_slices(steps * batch, width, inputs * hidden)
