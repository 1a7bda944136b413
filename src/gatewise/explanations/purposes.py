"""What each gate of the built-in cells is for."""

_LSTM = {
    "i": "input gate: how much of the candidate enters the cell state",
    "f": "forget gate: how much of the old cell state is kept; near 1 the state, and its gradient, pass unchanged",
    "g": "candidate: what could be written into the cell state (`c̃` in many texts)",
    "o": "output gate: how much of the cell state is shown as the output h",
}
_PEEPHOLE = _LSTM | {
    "i": _LSTM["i"] + "; sees the old cell state as well",
    "f": _LSTM["f"] + "; sees the old cell state as well",
    "o": _LSTM["o"] + "; sees the new cell state as well",
}
_CANDIDATE = "candidate: what the new state could be (`h̃` in many texts)"
_RESET = "reset gate: how much of the old state the candidate sees; near 0 it starts afresh from x_t"
PURPOSES: dict[str, dict[str, str]] = {
    "lstm": _LSTM,
    "peephole_lstm": _PEEPHOLE,
    "peephole_lstm_full": _PEEPHOLE,
    "gru_chung2014": {
        "r": _RESET,
        "z": "update gate: how much of the candidate is taken; near 0 the old state is kept",
        "n": _CANDIDATE,
    },
    "gru_cho2014": {
        "r": _RESET,
        "z": "update gate: how much of the old state is kept; near 1 the candidate is ignored",
        "n": _CANDIDATE,
    },
    "gru_cudnn": {
        "r": "reset gate: how much of the old state's product the candidate sees; near 0 it starts afresh from x_t",
        "z": "update gate: how much of the old state is kept; near 1 the candidate is ignored",
        "n": _CANDIDATE,
    },
}
