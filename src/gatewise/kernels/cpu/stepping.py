"""Single steps of a stack of layers: laid out once for the engine, then run again and again with other addresses.

A step of a small network takes the engine less time than Python takes to look at its arguments. So what can be known
beforehand is: the words of every layer, with the places where the addresses of a step's tensors belong.
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
from gatewise.kernels.cpu.program import program, template
from gatewise.kernels.cpu.split import split

_X, _OUTPUT, _STATES = range(3)
_WORD = 8


class Frame:
    """The words of a step, with places for the addresses of its tensors; used by one thread at a time.

    Attributes:
        given: addresses: of x, (B, I) or (I,); of the output; of every state before the step; of every state after it.
            What they point to is dense. The last word is the frame's own.
    """

    __slots__ = ("_address", "_flags", "_held", "_run", "given")

    def __init__(self, layers: Sequence["_Layer"], slices: int) -> None:
        first = layers[0].call
        batch, dtype, states = first.x.shape[1], first.x.dtype, len(first.cell.states)
        with torch.inference_mode(False):  # which would forbid to write to the flags outside it
            cut = torch.zeros((2, batch), dtype=torch.uint8)  # nothing is cut after the step
            self._flags = cut[0]
        cut_at = _STATES + 2 * states
        self.given = array("q", [0] * (cut_at + 1))
        made = [layer.job(last=layer is layers[-1]) for layer in layers]
        words = array("q", [word for job in made for word in job.words])
        each = _WORD * len(made[0].words)
        places = array("q")
        below = (_X, 0)
        size = batch * first.hidden_size * dtype.itemsize
        for at, (layer, job) in enumerate(zip(layers, made, strict=True)):
            base, _ = layer.template.places(job, "x")
            places.extend((base, *below))
            places.extend((words.buffer_info()[0] + at * each + _WORD * jobs.CUT, cut_at, 0))
            for index, state in enumerate(first.cell.states):
                before, after = _STATES + index, _STATES + states + index
                places.extend((layer.template.places(job, f"next {state}")[0], after, at * size))
                own, other = layer.template.places(job, f"previous {state}")
                places.extend((own, after, at * size, other, before, at * size))
            below = (_STATES + states, at * size)
        places.extend((layers[-1].template.place_of_final(made[-1]), _OUTPUT, 0))
        step = array(
            "q",
            (
                words.buffer_info()[0],
                len(layers),
                slices,
                pool(slices) or 0,
                self.given.buffer_info()[0],
                places.buffer_info()[0],
                len(places) // 3,
            ),
        )
        self._address = step.buffer_info()[0]
        self._held = (words, places, step, cut, made)
        self._run = engine(dtype).step_function(dtype)

    def run(self, reset: Tensor | None) -> None:
        """Run the step on what is given.

        Arguments:
            reset: (B,) or () bool; true for rows that begin anew.

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

    def job(self, *, last: bool) -> Job:
        """The layer's words; the output of the last one is copied, since its state is another tensor."""
        call, prepared = self.call, self._prepared
        _, batch, width = call.x.shape
        hidden, dtype = call.hidden_size, call.x.dtype
        rows: dict[str, Rows] = {"x": (jobs.SEQUENCE, 0, 0, width, 0), "saved": jobs.NOWHERE}
        for state in call.cell.states:
            rows[f"next {state}"] = (jobs.SEQUENCE, 0, 0, hidden, 0)
            rows[f"previous {state}"] = (jobs.SEQUENCE_PREVIOUS, 0, 0, hidden, hidden)
        held: tuple[Tensor, ...] = ()
        between = program(call.cell.equations).forward.arrays.get("between", 0)
        if between:
            held = (memory.empty((batch, between * hidden), dtype),)
            rows["between"] = jobs.rows(jobs.PER_ROW, held[0])
        return self.template.job(
            Order(1, batch, dtype, False, batch),
            rows,
            prepared.vectors,
            prepared.packed,
            prepared.registers,
            None,
            [(f"previous {call.cell.states[0]}", 0, hidden)] if last else [],
            self._units,
            prepared.within,
            held,
        )


class Stepper:
    """A stack of layers, ready for single steps of so many rows.

    Attributes:
        free: frames that nobody uses at the moment. They are taken and given back in single operations that no other
            thread can come between.
    """

    __slots__ = ("_layers", "_slices", "free")

    def __init__(self, layers: Sequence[_Layer], slices: int) -> None:
        self._layers, self._slices = layers, slices
        self.free: list[Frame] = []

    def frame(self) -> Frame:
        """A new frame."""
        return Frame(self._layers, self._slices)


def stepper(calls: Sequence[Call]) -> Stepper | None:
    """Lay out a step of a stack; None for a cell whose values from x alone are more than products and sums.

    Arguments:
        calls: of every layer, from the lowest; one step, forward, of one or more rows, without lengths or resets.
            Only shapes are read of what is not a parameter.
    """
    first = calls[0]
    made = program(first.cell.equations)
    batch, hidden = first.x.shape[1], first.hidden_size
    shared = split(batch, hidden, 1, made.recurrent_blocks, 1)
    layers: list[_Layer] = []
    for call in calls:
        prepared = prepare(call, made, shared, training=False)
        if prepared.within is None:
            return None
        layers.append(_Layer(call, prepared, shared.units))
    return Stepper(layers, shared.slices)
