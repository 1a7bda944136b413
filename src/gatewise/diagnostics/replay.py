"""Recompute all recorded steps at once: gates, gradients within a step, contributions to weight gradients.

The states before every step are known, so no loop is needed: the cost is one large matrix product.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.diagnostics.call_record import CallObserver, CallRecord
from gatewise.equations import Cell, Expr, Parameter, topological
from gatewise.equations.operations import activation
from gatewise.equations.retention import biases_of, retention_gates
from gatewise.kernels import Call, run
from gatewise.kernels.evaluation import BlocksOf, evaluate, mask_values
from gatewise.kernels.observers import Record

X = Expr.make("input")


class Gate(NamedTuple):
    """A gate, or the output of a cell without gates.

    Attributes:
        name: its name; the name of the output for cells without gates.
        value: its activation.
        before: the argument of the activation; the same where there is none.
        activation: its name; ``identity`` where there is none.
    """

    name: str
    value: Expr
    before: Expr
    activation: str


@lru_cache(maxsize=256)
def gates_of(cell: Cell) -> tuple[Gate, ...]:
    """The gates of a cell, or the units of a cell without gates.

    >>> from gatewise.cells import lookup
    >>> [(gate.name, gate.activation) for gate in gates_of(lookup("gru_cudnn"))]
    [('r', 'sigmoid'), ('z', 'sigmoid'), ('n', 'tanh')]
    >>> [(gate.name, gate.activation) for gate in gates_of(lookup("rnn_relu"))]
    [('h', 'relu')]
    """
    nodes = {name: cell.gate_value(name) for name in cell.gates} or {cell.states[0]: cell.outputs[0]}
    return tuple(
        Gate(name, node, node.args[0], node.op) if activation(node) else Gate(name, node, node, "identity")
        for name, node in nodes.items()
    )


def states_of(record: CallRecord) -> list[Tensor]:
    """The states after every step, (D, T, B, H) each, recorded or recomputed."""
    if record.state_values is not None:
        return record.state_values
    sink = CallRecord(CallObserver(), record.module, record.layer, keep_all=True)
    with torch.no_grad():
        run(replace(record.recompute_call(), record=Record((sink,))))
    assert sink.state_values is not None
    return sink.state_values


@dataclass
class Steps:
    """All valid steps of one direction of a call, flattened.

    Attributes:
        call: the direction.
        index: (N,) their rows of (T·B).
        values: by node, (N, H) each; x is (N, I). Filled by `value`.
        gradients: (N, H) by state, the total gradient after each step, or None.
    """

    call: Call
    index: Tensor
    values: dict[Expr, Tensor]
    gradients: tuple[Tensor, ...] | None

    def value(self, node: Expr) -> Tensor:
        """The value of a node of the cell at each step."""
        found = evaluate(node, self.values, BlocksOf(self.call))
        wide = self.call.cell.sizes.of(node) == "P"
        return found.expand(len(self.index), self.call.projection_size if wide else self.call.hidden_size)

    def spread(self, values: Tensor, padding: float) -> Tensor:
        """(N, …) as (T, B, …)."""
        steps, batch = self.call.x.shape[:2]
        whole = values.new_full((steps * batch, *values.shape[1:]), padding)
        whole[self.index] = values.detach()
        return whole.unflatten(0, (steps, batch))

    def within(self, nodes: list[Expr]) -> list[Tensor]:
        """The gradients (N, H) of nodes within their step; called once, before `value`."""
        assert self.gradients is not None
        above = dict(zip(self.call.cell.outputs, self.gradients, strict=True))
        pairs: list[tuple[Tensor, Tensor]] = []
        with torch.enable_grad():
            for node in topological(self.call.cell.outputs):
                if node in above and node.args:
                    pairs.append((self.value(node), above[node]))
                    # Gradients through other states of the step are part of the total gradient.
                    self.values[node] = self.values[node].detach().requires_grad_()
            inner = [evaluate(node, self.values, BlocksOf(self.call)) for node in nodes]
        pairs = [pair for pair in pairs if pair[0].requires_grad]
        wanted = [one for one in inner if one.requires_grad]
        found = iter(
            torch.autograd.grad(
                [result for result, _ in pairs], wanted, [above for _, above in pairs], allow_unused=True
            )
            if pairs and wanted
            else [None] * len(wanted)
        )
        gradients: list[Tensor] = []
        for node, one in zip(nodes, inner, strict=True):
            gradient = next(found) if one.requires_grad else None
            if node in above and node.args:  # a state's own value, as the product of a projection
                gradient = above[node]
            gradients.append(torch.zeros_like(one) if gradient is None else gradient)
        return gradients


def steps_of(record: CallRecord) -> list[Steps]:
    """The steps of each direction of a call."""
    states = states_of(record)
    call = record.recompute_call()
    index = record.valid.flatten().nonzero()[:, 0]
    found: list[Steps] = []
    for direction, single in enumerate(call.single_directions()):
        before = previous_states(single, [of_state[direction] for of_state in states])
        values: dict[Expr, Tensor] = {X: single.x.flatten(0, 1)[index].requires_grad_()}
        for number, mask in enumerate(single.cell.masks):
            values[Expr.make("mask", attr=mask)] = mask_values(single, number).flatten(0, 1)[index]
        for name, value in zip(single.cell.states, before, strict=True):
            values[Expr.make("state", attr=name)] = value.flatten(0, 1)[index].requires_grad_()
        # A separate copy of each vector per step, so that each step has its own gradient.
        for leaf, block in vectors_of(single.cell).items():
            values[leaf] = BlocksOf(single)[block].expand(len(index), -1).clone().requires_grad_()
        gradients = None
        if record.state_gradients is not None:
            gradients = tuple(gradient[direction].flatten(0, 1)[index] for gradient in record.state_gradients)
        found.append(Steps(single, index, values, gradients))
    return found


def previous_states(call: Call, states: list[Tensor]) -> list[Tensor]:
    """The states (T, B, H) before each step of one direction; undefined in padding.

    Args:
        call: the direction.
        states: (T, B, H) each, after each step.
    """
    found: list[Tensor] = []
    steps, zero = call.x.shape[0], states[0].new_zeros(())
    for initial, after in zip(call.initial, states, strict=True):
        if call.directions == "forward":
            before = torch.cat([initial, after[:-1]])
            if call.reset is not None:
                before = torch.where(call.reset[..., None], zero, before)
        else:
            before = torch.cat([after[1:], initial])
            if call.reset is not None:
                cut = torch.cat([call.reset[1:], torch.zeros_like(call.reset[:1])])
                before = torch.where(cut[..., None], zero, before)
            if call.lengths is not None:
                last = torch.arange(steps, device=call.x.device)[:, None] == call.lengths - 1
                before = torch.where(last[..., None], initial, before)
        found.append(before)
    return found


def forget_bias(record: CallRecord, direction: int) -> float | None:
    """The mean bias of one direction's retention gates, as defined by `gatewise.Init`; None if there are none."""
    call = record.recompute_call().single_directions()[direction]
    cell, blocks = call.cell, BlocksOf(call)
    biases: list[float] = []
    for gate in retention_gates(cell):
        if vectors := biases_of(cell, gate.name):
            biases.append(gate.sign * sum(float(blocks[vector].mean()) for vector in vectors))
    return statistics.fmean(biases) if biases else None


@lru_cache(maxsize=256)
def vectors_of(cell: Cell) -> Mapping[Expr, Parameter]:
    """The vectors of a cell's equations."""
    return {
        node: node.attr
        for node in topological(cell.outputs)
        if isinstance(node.attr, Parameter) and cell.shape_of(node.attr.group) == "vector"
    }


def products_of(cell: Cell) -> list[Expr]:
    """The products of a cell's equations."""
    return [node for node in topological(cell.outputs) if node.op == "matmul"]
