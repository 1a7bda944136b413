"""What to do about a finding, and where it is explained."""

_PAGES = {
    "vanishing": "docs/diagnosis.md#vanishing",
    "exploding": "docs/diagnosis.md#exploding",
    "saturated gate": "docs/diagnosis.md#saturated-gate",
    "gate stuck open": "docs/diagnosis.md#gate-stuck",
    "gate stuck closed": "docs/diagnosis.md#gate-stuck",
    "dead ReLU": "docs/diagnosis.md#dead-relu",
    "short window": "docs/diagnosis.md#short-window",
    "weights barely move": "docs/diagnosis.md#weights-barely-move",
    "clipping at every step": "docs/diagnosis.md#clipping-at-every-step",
    "not finite": "docs/diagnosis.md#not-finite",
}

_VANISHING = {
    "rnn_sigmoid": (
        "The slope of the logistic function is at most 1/4; use tanh, ReLU with init='identity', or an LSTM or GRU"
    ),
    "rnn_tanh": "Use init='orthogonal', or a cell that keeps its state: an LSTM or GRU",
    "rnn_relu": "Use init='identity' (IRNN), or a cell that keeps its state: an LSTM or GRU",
    "lstm": "Raise the bias of the forget gate (init='default' starts it at 1; larger for longer memory)",
    "peephole_lstm": "Raise the bias of the forget gate (init='default' starts it at 1; larger for longer memory)",
    "gru": "Move the bias of the update gate towards keeping the state, or use init='default' (orthogonal)",
}

_EXPLODING = {
    "rnn_relu": "Clip gradients (gatewise.Clip(norm=1.0)) and start from init='identity'",
    "rnn_leaky_relu": "Clip gradients (gatewise.Clip(norm=1.0)) and start from init='identity'",
}

_ALWAYS = {
    "saturated gate": "Start from smaller weights (init='default'), scale the input, or lower the learning rate",
    "dead ReLU": "Lower the learning rate, start from init='identity' with biases of 0, or use the leaky ReLU",
    "short window": "Make the window longer (k2 of gatewise.TBPTT), with checkpoint_every if memory is short",
    "weights barely move": "Raise the learning rate; a step usually changes them by about a thousandth",
    "clipping at every step": "Raise the threshold to what the norm usually is, so that clipping catches exceptions",
    "not finite": "Lower the learning rate, clip gradients (gatewise.Clip(norm=1.0)), and look at that step's data",
}

_STUCK = {
    "f": "Set the bias of the forget gate to about 1 (init='default')",
    "z": "Set the bias of the update gate to about 0",
}


def page_of(kind: str) -> str:
    """The page of the documentation that explains a kind of finding."""
    return _PAGES[kind]


def advice_for(kind: str, cell: str, gate: str) -> str:
    """What to do about a kind of finding.

    Arguments:
        kind: as in `Finding`.
        cell: its name; empty for the whole model.
        gate: the gate that it is about; ``layers`` when it is about the stack of layers; or empty.
    """
    if gate == "layers":
        text = "Use fewer layers, or init='default' with its orthogonal recurrent weights"
        text += "" if kind == "vanishing" else "; clip gradients (gatewise.Clip(norm=1.0))"
    elif kind in ("gate stuck open", "gate stuck closed"):
        text = _STUCK.get(gate, f"Set the bias of {gate} to 0") + ", start from smaller weights, or scale the input"
    elif kind == "vanishing":
        fitting = [text for name, text in _VANISHING.items() if cell.startswith(name)]
        text = fitting[0] if fitting else "Use init='orthogonal' or 'identity', or an LSTM or GRU"
    elif kind == "exploding":
        text = _EXPLODING.get(cell, "Clip gradients (gatewise.Clip(norm=1.0)) and start from init='default'")
    else:
        text = _ALWAYS[kind]
    return text + "."
