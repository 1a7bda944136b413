"""Advice for findings, and the command that explains each."""

import math

from gatewise.diagnostics.horizon import VANISHED
from gatewise.equations import Cell

_TOPICS = {
    "vanishing": "vanishing",
    "exploding": "exploding",
    "saturated gate": "gates",
    "gate stuck open": "gates",
    "gate stuck closed": "gates",
    "dead ReLU": "vanishing",
    "short window": "bptt",
    "weights barely move": "vanishing",
    "clipping at every step": "exploding",
    "not finite": "exploding",
}

_EXPLODING = {
    "rnn_relu": "Clip gradients (gatewise.Clip(norm=1.0)) and start from init='identity'",
    "rnn_leaky_relu": "Clip gradients (gatewise.Clip(norm=1.0)) and start from init='identity'",
}

_ALWAYS = {
    "saturated gate": "Start from smaller weights (init='default'), scale the input, or lower the learning rate",
    "dead ReLU": "Lower the learning rate, start from init='identity' with biases of 0, or use the leaky ReLU",
    "short window": "Make the window longer (k2 of gatewise.TBPTT), with checkpoint_every if memory is scarce",
    "weights barely move": "Raise the learning rate; a step usually changes them by about a thousandth",
    "clipping at every step": "Raise the threshold to the usual norm, so that only outliers are clipped",
    "not finite": "Lower the learning rate, clip gradients (gatewise.Clip(norm=1.0)), and look at that step's data",
}

_STUCK = {
    "f": "Set the bias of the forget gate to about 1 (init='default')",
    "z": "Set the bias of the update gate to about 0",
}


def page_of(kind: str) -> str:
    """The command that prints the explanation of a kind of finding; an installed package has no documentation pages."""
    return f"gatewise explain {_TOPICS[kind]}"


def advice_for(kind: str, cell: Cell | None, gate: str = "") -> str:
    """The advice for a kind of finding, except gradients that vanish over time.

    Args:
        kind: as in `Finding`.
        cell: the equations; None for the whole model.
        gate: the gate concerned; ``layers`` for the stack of layers; or empty.
    """
    if gate == "layers":
        text = "Use fewer layers, or init='default' with its orthogonal recurrent weights"
        text += "" if kind == "vanishing" else "; clip gradients (gatewise.Clip(norm=1.0))"
    elif kind in ("gate stuck open", "gate stuck closed"):
        text = _STUCK.get(gate, f"Set the bias of {gate} to 0") + ", start from smaller weights, or scale the input"
    elif kind == "exploding":
        text = _EXPLODING.get(
            "" if cell is None else cell.name, "Clip gradients (gatewise.Clip(norm=1.0)) and start from init='default'"
        )
    else:
        text = _ALWAYS[kind]
    return text + "."


def advice_for_long_spans(cell: Cell, span: int, forget_bias: float | None, *, dense: bool = True) -> str:
    """The advice for a gradient that vanishes over time.

    Args:
        cell: the equations.
        span: the number of steps it should reach back.
        forget_bias: the mean bias of the retention gates, as defined by `gatewise.Init`; None if there are none.
        dense: whether losses already enter at most steps.
    """
    chrono = f"init=gatewise.Init(chrono={max(2, span)}); gatewise train … --chrono {max(2, span)}"
    sooner = "" if dense else "; or let losses enter at more steps, as pooling by mean, maximum or attention does"
    if forget_bias is None:
        slope = "The slope of the logistic function is at most 1/4. " if cell.name == "rnn_sigmoid" else ""
        init = "identity' (IRNN)" if cell.name == "rnn_relu" else "orthogonal'"
        text = f"{slope}Use a cell that keeps its state, an LSTM or GRU with chrono initialisation ({chrono})"
        return f"{text}, or init='{init}{sooner}."
    wanted = bias_for(span)
    if forget_bias < wanted - 0.5:
        larger = f"{wanted:.1f} (init=gatewise.Init(forget_bias={wanted:.1f}); --forget-bias {wanted:.1f})"
        text = (
            f"Start with gates that keep the state over such spans: chrono initialisation ({chrono}), or a forget bias"
        )
        return f"{text} of {larger}, now {forget_bias:.1f} on average{sooner}."
    text = f"The forget bias already suits such spans ({forget_bias:.1f} on average)"
    return f"{text}: use chrono initialisation ({chrono}), smaller recurrent weights, or more training{sooner}."


def bias_for(span: int) -> float:
    """The forget bias at which a gradient falls to 1 % over ``span`` steps, if the gate follows its bias alone.

    A gate with value σ(β) scales the gradient by about exp(−1/(1 + exp β)) per step.
    """
    return math.log(max(math.e, span / math.log(1 / VANISHED) - 1))
