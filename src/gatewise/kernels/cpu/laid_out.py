"""A stack of layers laid out once for the engine, then run again and again on other tensors, for any number of steps.

A short sequence through a small network takes the engine less time than Python takes to look at its arguments. So what
can be known beforehand is: the words of every layer, with the places where the addresses of a run's tensors belong.
"""

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels.call import Call
from gatewise.kernels.cpu import jobs, memory
from gatewise.kernels.cpu.forward import Prepared, prepare
from gatewise.kernels.cpu.jobs import Job, Rows
from gatewise.kernels.cpu.library import engine, out_of_memory, pool
from gatewise.kernels.cpu.order import Order
from gatewise.kernels.cpu.products import product_slices, product_words
from gatewise.kernels.cpu.program import program, template
from gatewise.kernels.cpu.split import Split, split, threads

# What a frame tells the engine before the addresses of the states.
_X, _OUTPUT, _STEPS, _PLACES, _PRODUCT_SLICES, _STATES = range(6)
_WORD = 8
_PRODUCT_WORDS, _ROWS_OF_PRODUCT = 13, 3


class Frame:
    """The words of a run, with places for the addresses of its tensors; used by one thread at a time.

    Attributes:
        capacity: the most steps.
        given: addresses of x, (T, B, I), and of the output; T, T·B and the threads of a product with x; from
            `FIRST_STATE` on addresses of every state before the run, and of every state after it, (L, B, H). What they
            point to is dense. The last word is the frame's own.
    """

    FIRST_STATE = _STATES
    __slots__ = ("_address", "_flags", "_held", "_run", "capacity", "given")

    def __init__(self, layers: Sequence["_Layer"], slices: int, capacity: int) -> None:
        self.capacity = capacity
        first = layers[0].call
        batch, dtype, states = first.x.shape[1], first.x.dtype, first.cell.states
        with torch.inference_mode(False):  # which would forbid to write to the flags outside it
            cut = torch.zeros((2, batch), dtype=torch.uint8)  # nothing is cut after a single step
            self._flags = cut[0]
        cut_at = _STATES + 2 * len(states)
        self.given = array("q", [0] * (cut_at + 1))
        self.given[_STEPS], self.given[_PLACES], self.given[_PRODUCT_SLICES] = 1, batch, 1
        # A layer may read the output of the one below step by step, while it writes its own.
        between = [memory.empty((capacity * batch, first.hidden_size), dtype) for _ in range(min(2, len(layers) - 1))]
        width = max(layer.width_of_products for layer in layers)
        products = memory.empty((capacity * batch, width), dtype) if width else None
        made: list[Job] = []
        of_products: list[int] = []
        for at, layer in enumerate(layers):
            x = between[(at - 1) % 2] if at else None
            output = between[at % 2] if at < len(layers) - 1 else None
            made.append(layer.job(x, output, products))
            of_products.extend(layer.product(x, products) if products is not None else ())
        words = array("q", [word for job in made for word in job.words])
        product_words = array("q", of_products)
        stack = array(
            "q",
            (
                words.buffer_info()[0],
                product_words.buffer_info()[0] if of_products else 0,
                len(layers),
                slices,
                1,
                pool(threads()) or 0,
                self.given.buffer_info()[0],
                0,
                0,
            ),
        )
        self._address = stack.buffer_info()[0]
        places = array("q", (self._address + _WORD * 4, _PRODUCT_SLICES, 0))
        each = _WORD * len(made[0].words)
        size = batch * first.hidden_size * dtype.itemsize
        for at, (layer, job) in enumerate(zip(layers, made, strict=True)):
            own = words.buffer_info()[0] + at * each
            for word, which in ((jobs.STEPS, _STEPS), (jobs.END, _STEPS), (jobs.CUT, cut_at)):
                places.extend((own + _WORD * word, which, 0))
            product = product_words.buffer_info()[0] + _WORD * _PRODUCT_WORDS * at
            if of_products:
                places.extend((product + _WORD * _ROWS_OF_PRODUCT, _PLACES, 0))
            if at == 0:
                places.extend((product if of_products else layer.template.places(job, "x")[0], _X, 0))
            if at == len(layers) - 1:
                for name in (f"next {states[0]}", f"previous {states[0]}"):
                    places.extend((layer.template.places(job, name)[0], _OUTPUT, 0))
            for index, state in enumerate(states):
                places.extend((layer.template.places(job, f"previous {state}")[1], _STATES + index, at * size))
                after = _STATES + len(states) + index
                places.extend((layer.template.place_of_final(job, index), after, at * size))
        stack[-2], stack[-1] = places.buffer_info()[0], len(places) // 3
        self._held = (words, product_words, places, stack, cut, made, between, products)
        self._run = engine(dtype).stack_function(dtype)

    def run(self, reset: Tensor | None = None) -> None:
        """Run on what is given.

        Arguments:
            reset: for a single step, (B,) or () bool; true for rows that begin anew.

        Raises:
            MemoryError: when there is none for the engine's scratch.
        """
        if reset is None:
            code = self._run(self._address)
        else:
            self._flags.copy_(reset)
            self.given[-1] = self._flags.data_ptr()
            code = self._run(self._address)
            self.given[-1] = 0
        if code:
            raise out_of_memory()


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
            tuple(held),
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


def lay_out(calls: Sequence[Call], shared: Split) -> LaidOut | None:
    """Lay out a stack; None for a cell whose values from x alone are more than products and sums.

    Arguments:
        calls: of every layer, from the lowest; forward, of one or more rows, without lengths or resets. A call of one
            step is laid out for single steps, any other for sequences. Only shapes are read of what is not a parameter.
        shared: how a run is shared out; see `shared_by`.
    """
    made = program(calls[0].cell.equations)
    layers: list[_Layer] = []
    for call in calls:
        prepared = prepare(call, made, shared, training=False)
        if prepared.of_x is None:
            return None
        layers.append(_Layer(call, prepared, shared.units))
    return LaidOut(layers, shared.slices)


def shared_by(call: Call, steps: int) -> tuple[Split, int]:
    """How runs of so many steps are shared out among threads, and their widest product with x."""
    blocks = program(call.cell.equations).recurrent_blocks
    batch, hidden = call.x.shape[1], call.hidden_size
    width = max(call.x.shape[2], hidden)
    inputs = len(program(call.cell.equations).inputs)
    return split(batch, hidden, steps, blocks, 1), product_slices(steps * batch, width, inputs * hidden)
