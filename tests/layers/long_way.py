"""For tests of single steps: which of them went the way that sequences take."""

import pytest
import torch
from torch import Tensor

from gatewise.layers import recurrent
from gatewise.layers.inputs import State


def watched(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each call that goes the long way."""
    seen: list[object] = []
    original = recurrent.prepare

    def counted(*arguments: object) -> object:
        seen.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(recurrent, "prepare", counted)
    return seen


def in_full(
    layer: recurrent.Recurrent, x_t: Tensor, state: State | None = None, reset: Tensor | None = None
) -> tuple[Tensor, State]:
    """A sequence of one step the long way, which it goes with resets."""
    reset = torch.zeros(x_t.shape[:-1], dtype=torch.bool) if reset is None else reset
    output, final = layer(x_t.unsqueeze(0), state, reset=reset.unsqueeze(0))
    assert isinstance(output, Tensor)
    return output, final
