"""Gradients of every state by autograd: the transcriptions, unrolled step by step, each state's gradient retained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tests.agreement import ALL_TRANSCRIPTIONS, CELLS, Case, given, layer_of, lengths_of
from tests.transcriptions import Gates, State, Transcription, run_layers


@dataclass
class Unrolled:
    """By layer, direction and state, after each step.

    Attributes:
        values, gradients: (L, D, S, T, B, H); 0 in padding.
        of_parameters: the gradient of every parameter.
    """

    values: Tensor
    gradients: Tensor
    of_parameters: dict[str, Tensor]


def retaining(transcription: Transcription, made: list[State]) -> Transcription:
    """The same, noting the states after each step, which retain their whole gradients."""

    def step(gates: Gates, x: Tensor, state: State) -> State:
        parts = transcription.step(gates, x, state)
        # One that is passed on has a gradient of its own, and zeros after a reset have one too.
        parts = [part if part.requires_grad else part.clone().requires_grad_() for part in parts]
        after = tuple(part.view_as(part) if any(part is one for one in state) else part for part in parts)
        for part in after:
            part.retain_grad()
        made.append(after)
        return after

    return transcription._replace(step=step)


def unrolled(case: Case, dtype: torch.dtype = torch.float64) -> Unrolled:
    transcription = ALL_TRANSCRIPTIONS[case.cell]
    values, layer = given(case), layer_of(case)
    parameters = {name: one.detach().to(dtype).requires_grad_() for name, one in layer.named_parameters()}
    made: list[State] = []
    output, finals = run_layers(
        retaining(transcription, made),
        parameters,
        values.x.to(dtype),
        [state.to(dtype, copy=True).requires_grad_() for state in values.initial],
        num_layers=case.num_layers,
        bidirectional=case.bidirectional,
        merge=case.merge,
        lengths=lengths_of(case),
        reset=values.reset,
    )
    torch.autograd.backward([output, *finals], [above.to(dtype) for above in values.upstream])
    directions, states = 2 if case.bidirectional else 1, len(CELLS[case.cell].states)
    shape = case.num_layers, directions, states, case.steps, case.batch, case.hidden_size
    found = Unrolled(
        torch.zeros(shape, dtype=dtype),
        torch.zeros(shape, dtype=dtype),
        {name: torch.zeros_like(one) if one.grad is None else one.grad for name, one in parameters.items()},
    )
    lengths = lengths_of(case) or [case.steps] * case.batch
    in_order = iter(made)
    for b, length in enumerate(lengths):
        for number in range(case.num_layers):
            for direction in range(directions):
                for t in reversed(range(length)) if direction else range(length):
                    for state, part in enumerate(next(in_order)):
                        found.values[number, direction, state, t, b] = part.detach()
                        if part.grad is not None:
                            found.gradients[number, direction, state, t, b] = part.grad
    return found
