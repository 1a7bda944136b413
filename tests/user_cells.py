"""Cells that a user might define, with their own transcriptions; the tests run them beside the built-in ones."""

import torch
from torch import Tensor

from gatewise.equations import Cell, cell, dropout, exp, maximum, sigmoid, tanh, where, zoneout
from tests.transcriptions import Gates, State, Transcription


@cell(cite="Zhou et al. 2016, arXiv:1603.09420, eq. 5-7")
def minimal_gated_unit(x, h, /, W, R, b):
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    n = tanh(W.n @ x + R.n @ (f * h) + b.n)
    return (1 - f) * h + f * n


@cell
def lstm_forget_first(x, h, c, /, W, R, b, d):
    """The LSTM with the forget gate before the input gate: torch's equations, in another layout of weights."""
    f = sigmoid(W.f @ x + b.f + R.f @ h + d.f)
    i = sigmoid(W.i @ x + b.i + R.i @ h + d.i)
    g = tanh(W.g @ x + b.g + R.g @ h + d.g)
    o = sigmoid(W.o @ x + b.o + R.o @ h + d.o)
    c = f * c + i * g
    return o * tanh(c), c


def _minimal_gated_unit(gates: Gates, x: Tensor, state: State) -> State:
    (h,) = state
    forget = torch.sigmoid(gates["f"](h, x))
    candidate = torch.tanh(gates["n"](forget * h, x))
    return (h + forget * (candidate - h),)


def _local() -> Cell:
    """A cell made inside a function, with three states, one of them handed on as it is."""

    @cell
    def lagged(x, h, before, count, /, W, R, b):
        a = W @ x + R @ before + b
        kept = where(count > 2, 0.5 * h, maximum(h, -0.5))
        return tanh(a) + kept * exp(-abs(a)), h, count + 1

    return lagged


def _lagged(gates: Gates, x: Tensor, state: State) -> State:
    h, before, count = state
    a = gates[""](before, x)
    kept = torch.where(count > 2, h / 2, h.clamp(min=-0.5))
    return torch.tanh(a) + kept / torch.exp(a.abs()), h, count + 1


@cell
def masked(x, h, c, /, W, R, b):
    """Masks of both kinds: in products of both stages, beside gates, and of states."""
    i = sigmoid(W.i @ x + R.i @ dropout(h, "h") + b.i)
    n = tanh(W.n @ x + R.n @ (i * dropout(h, "h")) + b.n)
    new = c + dropout(i * n, "n")
    return zoneout(tanh(new) - 0.1 * h, h, "kept_h"), zoneout(new, c, "kept_c")


@cell
def hoisted(x, h, /, W, R, b):
    """An expression of parameters alone multiplies by weights that the steps multiply by, too."""
    return tanh(W @ x + R @ h + R @ b)


USER_CELLS: dict[str, Cell] = {"minimal_gated_unit": minimal_gated_unit, "lagged": _local()}
USER_TRANSCRIPTIONS: dict[str, Transcription] = {
    "minimal_gated_unit": Transcription(_minimal_gated_unit, "fn"),
    "lagged": Transcription(_lagged, [""], states=3),
}
