"""The forward pass on the engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.compiler.emit import Program
from gatewise.equations import Cell
from gatewise.kernels.call import Call
from gatewise.kernels.cpu import inputs, jobs, memory, placement
from gatewise.kernels.cpu.jobs import Job, Rows
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.order import Order, order
from gatewise.kernels.cpu.program import BlocksOf, program, template
from gatewise.kernels.cpu.split import Split, registers_per_output, split
from gatewise.kernels.cpu.taping import one_pass
from gatewise.kernels.cpu.weights import Packed, are_frozen, kept_or_made, pack_products, vectors


@dataclass(frozen=True)
class Saved:
    """What the backward pass of one direction needs beside the call and its output.

    Attributes:
        order: how rows and steps were processed.
        values: (N, S·H) values of `Backward.saved`; None without any.
        states: the states but the first, (N, H) each; the first is the output.

    The tensors may have room for more rows than N.
    """

    order: Order
    values: Tensor | None
    states: tuple[Tensor, ...]

    @property
    def tensors(self) -> list[Tensor]:
        """All of them, in the order of `widths`."""
        return [*self.states] if self.values is None else [self.values, *self.states]


def widths(cell: Cell) -> list[int]:
    """How many times H each tensor is wide that the backward pass of one direction needs."""
    values = len(program(cell.equations).plan.backward.saved)
    return [*([values] if values else []), *[1] * (len(cell.states) - 1)]


def restored(cell: Cell, orders: Sequence[Order], tensors: Sequence[Tensor]) -> list[Saved]:
    """What `forward` kept, from its tensors: those of each direction, one after the other."""
    each, states = len(widths(cell)), len(cell.states) - 1
    found: list[Saved] = []
    for at, way in enumerate(orders):
        own = [tensor[: way.places] for tensor in tensors[at * each : (at + 1) * each]]
        found.append(Saved(way, own[0] if each > states else None, tuple(own[each - states :])))
    return found


class Prepared(NamedTuple):
    """What a call needs of the parameters of one direction.

    Attributes:
        registers: per output in a strip of packed weights.
        packed: the weights of every product, packed.
        vectors: the values of ``Direction.vectors``.
        of_x: for the values from x alone; None when they are computed one by one.
    """

    registers: int
    packed: Packed
    vectors: tuple[Tensor, ...]
    of_x: inputs.Weights | None

    @property
    def within(self) -> jobs.Inputs | None:
        """What the products with x of each step need; None when they are made before the loop."""
        return None if self.of_x is None else self.of_x.within


@one_pass
def forward(
    call: Call, keep: bool, *, room: bool = False, output: Tensor | None = None
) -> tuple[Tensor, tuple[Tensor, ...], list[Saved]]:
    """Run a call.

    Arguments:
        call: what to compute.
        keep: whether a backward pass will follow.
        room: make what is kept of T·B rows whatever the lengths, so that its shape is known before they are.
        output: where the output goes: steps and features of a larger one, features dense; None: into a new one.

    Returns:
        Output (T, B, D·H), final states (D, B, H) each, and what the backward pass needs, by direction.
    """
    made = program(call.cell.equations)
    steps, batch, _ = call.x.shape
    hidden, dtype, directions = call.hidden_size, call.x.dtype, call.direction_count
    if output is None:
        output = memory.empty((steps, batch, directions * hidden), dtype)
    finals = tuple([torch.empty((directions, batch, hidden), dtype=dtype, device="cpu") for _ in call.cell.states])
    if batch == 0:
        return output, finals, []
    shared = split(batch, hidden, len(call.whole.x), made.recurrent_blocks, directions)
    all_jobs: list[Job] = []
    saved: list[Saved] = []
    for at, single in enumerate(call.single_directions()):
        way = order(single)
        job, kept = _job(single, made, way, shared, keep, room, at, output, finals)
        all_jobs.append(job)
        saved.append(kept)
    jobs.run(dtype, all_jobs, shared.slices)
    if saved[0].order.padding is not None:
        placement.clear(output.view(-1, output.shape[-1]), saved[0].order.padding)
    if call.record is not None and call.record.wants_values:
        for at, (single, kept) in enumerate(zip(call.single_directions(), saved, strict=True)):
            assert single.record is not None
            single.record.states(0, output.view(-1, output.shape[-1])[:, at * hidden : (at + 1) * hidden])
            for number, sequence in enumerate(kept.states, start=1):
                single.record.states(number, sequence, kept.order.index)
    return output, finals, saved


def prepare(call: Call, made: Program, shared: Split, *, kept: bool = False) -> Prepared:
    """Lay out the parameters of one direction, or take what was kept of them.

    Arguments:
        call: one direction.
        made: its program.
        shared: how it is shared out.
        kept: whether the result outlives the call: then it shares no memory with the parameters, so that all of it
            is of one moment. Inside `frozen` it always does.
    """
    steps, batch, _ = call.x.shape
    hidden, dtype = call.hidden_size, call.x.dtype
    rows_each = batch if shared.units else -(-batch // shared.slices)
    lanes = engine(dtype).lanes[dtype]
    registers = registers_per_output(rows_each, made.widest, hidden, lanes, shared.slices if shared.units else 1)
    step_by_step = steps == 1 or rows_each >= inputs.ROWS_WORTH_STEPS
    blocks, kept = BlocksOf(call), kept or are_frozen(call.parameters)

    def make() -> Prepared:
        of_x = inputs.weights(call, made, blocks, registers, lanes, step_by_step=step_by_step)
        if kept and of_x is not None and of_x.stacked is not None:
            of_x = of_x._replace(stacked=of_x.stacked.clone())
        return Prepared(
            registers,
            pack_products(made.forward, blocks, hidden, registers * lanes, transposed=False),
            vectors(call, made.forward, kept=kept),
            of_x,
        )

    key = (call.cell.equations, "forward", registers, step_by_step)
    return kept_or_made(call.parameters, key, make)


def _job(
    call: Call,
    made: Program,
    way: Order,
    shared: Split,
    keep: bool,
    room: bool,
    at: int,
    output: Tensor,
    finals: tuple[Tensor, ...],
) -> tuple[Job, Saved]:
    """One direction, the one with number ``at``."""
    batch, hidden, dtype, states = way.rows, call.hidden_size, way.dtype, call.cell.states
    prepared = prepare(call, made, shared)
    within = prepared.within
    if within is None:
        x, kind = inputs.products(call, made, way, BlocksOf(call), prepared.of_x), jobs.SEQUENCE
    else:
        x, kind = inputs.caller_rows(call), jobs.SEQUENCE if way.index is None else jobs.INDEXED
    places = way.steps * batch if room else way.places
    values: Tensor | None = None
    rows: dict[str, Rows] = {"x": jobs.rows(kind, x), "saved": jobs.NOWHERE}
    if keep and made.plan.backward.saved:
        values = memory.empty((places, len(made.plan.backward.saved) * hidden), dtype)
        rows["saved"] = jobs.rows(jobs.SEQUENCE, values)
    keep_states = keep or (call.record is not None and call.record.wants_values)
    held: list[Tensor] = []
    ends: list[tuple[str, int, int]] = []
    sequences: list[Tensor] = []
    for index, (state, initial) in enumerate(zip(states, call.initial, strict=True)):
        start = initial[0] if initial.stride(-1) == 1 else initial[0].contiguous()
        now, before = jobs.SEQUENCE, jobs.SEQUENCE_PREVIOUS
        if index == 0:
            base, stride = output.data_ptr() + at * hidden * output.element_size(), output.stride(1)
            if way.index is not None:
                now, before = jobs.INDEXED, jobs.INDEXED_PREVIOUS
        else:
            if not keep_states:
                now, before = jobs.ALTERNATING, jobs.ALTERNATING_PREVIOUS
            sequence = memory.empty((places if keep_states else 2 * batch, hidden), dtype)
            base, stride = sequence.data_ptr(), hidden
            sequences.append(sequence)
        rows[f"next {state}"] = (now, base, 0, stride, 0)
        rows[f"previous {state}"] = (before, base, start.data_ptr(), stride, start.stride(0))
        held.append(start)
        ends.append((f"previous {state}", finals[index][at].data_ptr(), hidden))
    between = made.forward.arrays.get("between", 0)
    if between:
        scratch = memory.empty((batch, between * hidden), dtype)
        rows["between"] = jobs.rows(jobs.PER_ROW, scratch)
        held.append(scratch)
    job = template(call.cell.equations, dtype, hidden, False).job(
        way,
        rows,
        prepared.vectors,
        prepared.packed,
        prepared.registers,
        None,
        ends,
        shared.units,
        within,
        keep=(x, values, held, sequences, output, finals),
    )
    # The first state is the output.
    return job, Saved(way, values, tuple(sequences) if keep_states else ())
