"""For tests of single steps: which of them were validated, as calls of the general path are."""

import pytest
import torch
from torch import Tensor

from gatewise.layers import recurrent
from gatewise.layers.validation import State


def validations(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each call whose arguments are validated."""
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
    """A sequence of one step."""
    reset = torch.zeros(x_t.shape[:-1], dtype=torch.bool) if reset is None else reset
    output, final = layer(x_t.unsqueeze(0), state, reset=reset.unsqueeze(0))
    assert isinstance(output, Tensor)
    return output, final
