"""What masks, lengths and resets mean, one step at a time in float64: the reference for calls with a mask, and for the
states after every step."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from gatewise.kernels import Call, run
from gatewise.layers import Recurrent
from gatewise.layers.merging import merge_directions
from tests.agreement import Results, Way, assert_agrees, operators_only, possible, results, rounded_if_normalised
from tests.layers.oracle import states_of

T, B = 7, 5
# Leading padding, trailing, holes, all, none.
MASK = torch.tensor(
    [
        [False, True, True, True, False],
        [False, True, False, True, False],
        [True, True, True, True, False],
        [True, True, False, True, False],
        [True, False, False, True, False],
        [True, False, True, True, False],
        [True, False, False, True, False],
    ]
)
LENGTHS = torch.tensor([7, 6, 4, 0, 3])
RESET = torch.rand(T, B, generator=torch.Generator().manual_seed(3)) < 0.3
DIRECTIONS: dict[str, dict[str, Any]] = {
    "forward": {},
    "reverse": {"reverse": True},
    **{
        f"both, {merge}": {"bidirectional": True, "merge": merge} for merge in ("concat", "sum", "mul", "learned", None)
    },
}


def run_by_steps(
    layer: Recurrent,
    x: Tensor,
    hx: Sequence[Tensor],
    *,
    mask: Tensor,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """What a layer of the reference backend computes, without dropout.

    Returns:
        Output (T, B, …), final states (D·L, B, H), and the states of the last layer after every step (T, B, D·H).

    Everything is time first; a step that is not valid is computed, and what comes of it dropped.
    """
    steps, batch = x.shape[:2]
    within = torch.ones(steps, batch, dtype=torch.bool)
    if lengths is not None:
        within = torch.arange(steps)[:, None] < lengths
    valid = mask & within
    cut = torch.zeros_like(within) if reset is None else reset & within
    x = torch.where(valid[..., None], x, 0.0)
    finals: list[list[Tensor]] = []
    sequences: list[Tensor] = []
    directions = [False, True] if layer.bidirectional else [layer.reverse]
    for index in range(layer.num_layers):
        sides: list[list[Tensor]] = []
        for side, reverse in enumerate(directions):
            row = index * len(directions) + side
            states = [one[row] for one in hx]
            outputs: list[Tensor] = [x] * steps
            for t in reversed(range(steps)) if reverse else range(steps):
                if not reverse:
                    states = [torch.where(cut[t, :, None], 0.0, one) for one in states]
                call = Call(
                    layer.cell,
                    x[t : t + 1],
                    tuple(one[None] for one in states),
                    tuple(layer.all_weights[row]),
                    None,
                    None,
                    "forward",
                )
                _, new = run(call, backend="reference")
                states = [torch.where(valid[t, :, None], a[0], b) for a, b in zip(new, states, strict=True)]
                defined = valid[t] if layer.masked_output == "zero" else within[t]
                outputs[t] = torch.stack([torch.where(defined[:, None], one, 0.0) for one in states])
                if reverse:
                    states = [torch.where(cut[t, :, None], 0.0, one) for one in states]
            sides.append([torch.stack(values) for values in zip(*outputs, strict=True)])
            finals.append(states)
        weight = bias = None
        if layer.merge == "learned":
            weight, bias = getattr(layer, f"merge_weight_l{index}"), getattr(layer, f"merge_bias_l{index}")
        defined = valid if layer.masked_output == "zero" else within
        sequences = [torch.cat(values, dim=-1) for values in zip(*sides, strict=True)]
        x = sequences[0]
        if len(directions) == 2:
            x = merge_directions(x, layer.merge, weight, bias, defined[..., None])
    return x, [torch.stack(list(states)) for states in zip(*finals, strict=True)], sequences


def leaves_of(layer: Recurrent, x: Tensor, hx: tuple[Tensor, ...]) -> dict[str, Tensor]:
    return {"x": x, **{f"hx {index}": one for index, one in enumerate(hx)}, **dict(layer.named_parameters())}


def drawn(layer: Recurrent, steps: int = T, batch: int = B) -> tuple[Tensor, tuple[Tensor, ...]]:
    dtype = next(layer.parameters()).dtype
    x = torch.randn(steps, batch, layer.input_size, dtype=dtype)
    rows = layer.num_layers * (1 + layer.bidirectional)
    hx = possible(layer.cell, [torch.randn(rows, batch, layer.hidden_size, dtype=dtype) for _ in layer.cell.states])
    return x.requires_grad_(), tuple(one.requires_grad_() for one in hx)


def upstream_of(values: tuple[Tensor, ...], dtype: torch.dtype) -> list[Tensor]:
    draw = torch.Generator().manual_seed(values[0].numel())
    return [torch.randn(one.shape, generator=draw, dtype=torch.float64).to(dtype) for one in values]


def computed(layer: Recurrent, x: Tensor, hx: tuple[Tensor, ...], **options: Any) -> Results:
    given = x.transpose(0, 1) if layer.batch_first else x
    if layer.batch_first:
        options = {
            key: value.t() if value is not None and value.dim() == 2 else value for key, value in options.items()
        }
    output, state, *states = layer(given, hx if len(hx) > 1 else hx[0], **options)
    if layer.merge is None:
        output = torch.cat(output, dim=-1)
    sequences = [output, *(states_of(states[0]) if states else ())]
    if layer.batch_first:
        sequences = [one.transpose(0, 1) for one in sequences]
    values = (sequences[0], *states_of(state), *sequences[1:])
    return results(values[0], values[1:], upstream_of(values, x.dtype), leaves_of(layer, x, hx))


def expected(layer: Recurrent, x: Tensor, hx: tuple[Tensor, ...], dtype: torch.dtype, **options: Any) -> Results:
    exact = copy.deepcopy(layer).to(dtype)
    x, *hx_list = (one.detach().to(dtype).requires_grad_() for one in (x, *hx))
    output, finals, sequences = run_by_steps(exact, x, hx_list, **options)
    values = (output, *finals, *(sequences if layer.return_states else ()))
    return results(output, values[1:], upstream_of(values, dtype), leaves_of(exact, x, tuple(hx_list)))


def check(layer: Recurrent, ways: Sequence[Way], mask: Tensor, **options: Any) -> None:
    """Compare a call with a mask, in several ways, with the steps one by one, values and gradients."""
    x, hx = drawn(layer, *mask.shape)
    exact = expected(layer, x, hx, torch.float64, mask=mask, **options)
    plain = exact if x.dtype == torch.float64 else expected(layer, x, hx, x.dtype, mask=mask, **options)
    rounded = rounded_if_normalised(
        layer.cell, x.dtype, lambda: expected(layer, x, hx, torch.float64, mask=mask, **options)
    )
    masked = (
        ~mask if options.get("lengths") is None else ~mask | (torch.arange(len(mask))[:, None] >= options["lengths"])
    )
    for path in ways:
        layer.backend, layer.checkpoint_every = path.backend, path.checkpoint_every
        with operators_only() if path.through_operators else nullcontext():
            actual = computed(layer, x, hx, mask=mask, **options)
        assert_agrees(actual, exact, plain, x.dtype, rounded=rounded)
        assert (actual["gradient of x"][masked] == 0).all()
