"""What masks, lengths and resets mean, one step at a time in float64: the reference for calls with a mask."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gatewise.kernels import Call, run
from gatewise.layers import Recurrent
from gatewise.layers.merging import merge_directions


def run_by_steps(
    layer: Recurrent,
    x: Tensor,
    hx: Sequence[Tensor],
    *,
    mask: Tensor,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Output (T, B, …) and final states (D·L, B, H) of a layer of the reference backend, without dropout.

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
    directions = [False, True] if layer.bidirectional else [layer.reverse]
    for index in range(layer.num_layers):
        sides: list[Tensor] = []
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
                outputs[t] = torch.where(defined[:, None], states[0], 0.0)
                if reverse:
                    states = [torch.where(cut[t, :, None], 0.0, one) for one in states]
            sides.append(torch.stack(outputs))
            finals.append(states)
        weight = bias = None
        if layer.merge == "learned":
            weight, bias = getattr(layer, f"merge_weight_l{index}"), getattr(layer, f"merge_bias_l{index}")
        defined = valid if layer.masked_output == "zero" else within
        x = torch.cat(sides, dim=-1)
        if len(directions) == 2:
            x = merge_directions(x, layer.merge, weight, bias, defined[..., None])
    return x, [torch.stack(list(states)) for states in zip(*finals, strict=True)]
