"""The built-in cells once more, written from the papers, to test gatewise against; nothing of gatewise is used here.

A gate has one matrix over [h, x] and one bias, as the papers have it: f = σ(W_f [h, x] + b_f). A row is cut to its
length and run alone, step by step; the reverse direction runs the reversed row; a reset puts zeros for the state.
Derivatives are autograd's through these loops, in whatever dtype the weights have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, sigmoid, tanh

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Gate:
    """The weights of one gate.

    Attributes:
        weight: (H, H + I), over [h, x].
        bias: (H,).
        inner_bias: (H,), the bias that cuDNN's GRU has inside the product with r; part of the sum everywhere else.
        peephole: (H, H), over the cell state; diagonal where the paper has a weight per unit.
        vectors: (H,) each, such as the gains of a normalisation, by name; and the matrix (P, H) of a projection.
    """

    weight: Tensor
    bias: Tensor
    inner_bias: Tensor
    peephole: Tensor
    vectors: Mapping[str, Tensor] = field(default_factory=dict)

    def __call__(self, h: Tensor, x: Tensor, c: Tensor | None = None) -> Tensor:
        """W [h, x] + b, and + U c for a gate that sees the cell state."""
        total = self.weight @ torch.cat([h, x]) + (self.bias + self.inner_bias)
        return total if c is None else total + self.peephole @ c

    def over_h(self, h: Tensor) -> Tensor:
        """The part of W over h, times h."""
        return self.weight[:, : len(h)] @ h

    def over_x(self, x: Tensor) -> Tensor:
        """The part of W over x, times x."""
        return self.weight[:, -len(x) :] @ x


Gates = Mapping[str, Gate]
Step = Callable[[Gates, Tensor, State], State]


class Transcription(NamedTuple):
    """One cell: its step, the order in which gatewise stacks its gates ("" for a cell without gates), those of them
    that have peepholes, how many states it has, the gates of other vectors by name ("" for one of no gate), and whether
    W over h is block-diagonal, of which the rows within their blocks are stored."""

    step: Step
    gates: Sequence[str]
    peepholes: Sequence[str] = ()
    states: int = 1
    vectors: Mapping[str, str] = {}
    block_diagonal: bool = False


def simple(activation: Callable[[Tensor], Tensor]) -> Step:
    """Elman 1990: h_t = act(W [h_{t−1}, x_t] + b)."""

    def step(gates: Gates, x: Tensor, state: State) -> State:
        (h,) = state
        return (activation(gates[""](h, x)),)

    return step


def lstm(gates: Gates, x: Tensor, state: State) -> State:
    """Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000."""
    h, c = state
    forget = sigmoid(gates["f"](h, x))
    admit = sigmoid(gates["i"](h, x))
    candidate = tanh(gates["g"](h, x))
    c = forget * c + admit * candidate
    return sigmoid(gates["o"](h, x)) * tanh(c), c


def peephole_lstm(gates: Gates, x: Tensor, state: State) -> State:
    """Graves 2013, eq. 7-11: input and forget gate see c_{t−1}, the output gate sees c_t."""
    h, c = state
    admit = sigmoid(gates["i"](h, x, c))
    forget = sigmoid(gates["f"](h, x, c))
    c = forget * c + admit * tanh(gates["g"](h, x))
    return sigmoid(gates["o"](h, x, c)) * tanh(c), c


def lstm_projected(gates: Gates, x: Tensor, state: State) -> State:
    """Sak et al. 2014, section 2, without peepholes: r_t = W_rm m_t, and the gates read r_{t−1}."""
    r, c = state
    c = sigmoid(gates["f"](r, x)) * c + sigmoid(gates["i"](r, x)) * tanh(gates["g"](r, x))
    m = sigmoid(gates["o"](r, x)) * tanh(c)
    return gates["o"].vectors["weight_hr"] @ m, c


def lstm_projected_sak2014(gates: Gates, x: Tensor, state: State) -> State:
    """Sak et al. 2014: i and f see c_{t−1}, o sees c_t; m_t = o_t ⊙ h(c_t), r_t = W_rm m_t."""
    r, c = state
    admit, forget = (sigmoid(gates[gate](r, x, c)) for gate in "if")
    c = forget * c + admit * tanh(gates["g"](r, x))
    m = sigmoid(gates["o"](r, x, c)) * tanh(c)
    return gates["o"].vectors["weight_hr"] @ m, c


def _candidate(gates: Gates, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    update, reset = sigmoid(gates["z"](h, x)), sigmoid(gates["r"](h, x))
    return update, tanh(gates["n"](reset * h, x))


def gru_chung2014(gates: Gates, x: Tensor, state: State) -> State:
    """Chung et al. 2014, eq. 5-8: h_t = (1 − z) h_{t−1} + z h̃, h̃ from W_h [r ⊙ h, x]."""
    (h,) = state
    update, candidate = _candidate(gates, x, h)
    return (h - update * h + update * candidate,)


def gru_cho2014(gates: Gates, x: Tensor, state: State) -> State:
    """Cho et al. 2014, eq. 5-8: h_t = z h_{t−1} + (1 − z) h̃."""
    (h,) = state
    update, candidate = _candidate(gates, x, h)
    return (update * h + candidate - update * candidate,)


def gru_cudnn(gates: Gates, x: Tensor, state: State) -> State:
    """The form of cuDNN and torch: the reset gate multiplies W_hn h + b_hn, after the product."""
    (h,) = state
    update, reset = sigmoid(gates["z"](h, x)), sigmoid(gates["r"](h, x))
    n = gates["n"]
    over_h, over_x = n.weight[:, : len(h)], n.weight[:, len(h) :]
    candidate = tanh(over_x @ x + n.bias + reset * (over_h @ h + n.inner_bias))
    return (candidate - update * candidate + update * h,)


def slstm(gates: Gates, x: Tensor, state: State) -> State:
    """Beck et al. 2024, eq. 8-17, with the sigmoid as forget gate; per unit, without a past m_t is the input gate's."""
    h, c, n, m = state
    log_admit = gates["i"](h, x)
    log_forget = -torch.nn.functional.softplus(-gates["f"](h, x))
    candidate = tanh(gates["z"](h, x))
    fresh = n == 0
    largest = torch.where(fresh | (log_admit > log_forget + m), log_admit, log_forget + m)
    # Without a past what is kept is zero, and exp(log_forget + m − largest) may overflow.
    keep = torch.exp(torch.where(log_forget + m > largest, 0.0, log_forget + m - largest))
    admit = torch.exp(log_admit - largest)
    c, n = keep * c + admit * candidate, keep * n + admit
    return sigmoid(gates["o"](h, x)) * c / n, c, n, largest


def normalised(gates: Gates, together: str, values: Sequence[Tensor], gain: str, shift: str) -> list[Tensor]:
    """Ba et al. 2016, eq. 3 and 4, of one vector of all the values, with 1e-5 beside σ² as in their code."""
    whole = torch.cat(list(values))
    centred = whole - whole.mean()
    parts = (centred / torch.sqrt((centred**2).mean() + 1e-5)).chunk(len(values))
    return [
        part * gates[gate].vectors[gain] + gates[gate].vectors[shift]
        for gate, part in zip(together, parts, strict=True)
    ]


def lstm_layer_norm(gates: Gates, x: Tensor, state: State) -> State:
    """Ba et al. 2016, eq. 20-22; the gates in the order of the paper: f i o g."""
    h, c = state
    past_part = normalised(gates, "fiog", [gates[gate].over_h(h) for gate in "fiog"], "gain_h", "shift_h")
    input_part = normalised(gates, "fiog", [gates[gate].over_x(x) for gate in "fiog"], "gain_x", "shift_x")
    forget, admit, output, candidate = (
        a + b + gates[gate].bias for gate, a, b in zip("fiog", past_part, input_part, strict=True)
    )
    c = sigmoid(forget) * c + sigmoid(admit) * tanh(candidate)
    (normal,) = normalised(gates, "o", [c], "gain_c", "shift_c")
    return sigmoid(output) * tanh(normal), c


def lstm_layer_norm_per_gate(gates: Gates, x: Tensor, state: State) -> State:
    """TensorFlow's LayerNormBasicLSTMCell: each gate's sum, and the new cell state before it is carried on."""
    h, c = state
    (admit,), (candidate,), (forget,), (output,) = (
        normalised(gates, gate, [gates[gate](h, x)], "gain", "shift") for gate in "igfo"
    )
    new = c * sigmoid(forget) + sigmoid(admit) * tanh(candidate)
    (c,) = normalised(gates, "o", [new], "gain_c", "shift_c")
    return tanh(c) * sigmoid(output), c


def gru_layer_norm(gates: Gates, x: Tensor, state: State) -> State:
    """Ba et al. 2016, eq. 26-28."""
    (h,) = state
    past_part = normalised(gates, "zr", [gates["z"].over_h(h), gates["r"].over_h(h)], "gain_h", "shift_h")
    input_part = normalised(gates, "zr", [gates["z"].over_x(x), gates["r"].over_x(x)], "gain_x", "shift_x")
    update, reset = (sigmoid(a + b) for a, b in zip(past_part, input_part, strict=True))
    (own,) = normalised(gates, "n", [gates["n"].over_x(x)], "gain_x", "shift_x")
    (past,) = normalised(gates, "n", [gates["n"].over_h(h)], "gain_h", "shift_h")
    candidate = tanh(own + reset * past)
    return (h - update * h + update * candidate,)


def leaky_relu(a: Tensor) -> Tensor:
    """Maas et al. 2013: a where positive, else a / 100."""
    return torch.nn.functional.leaky_relu(a, negative_slope=0.01)


LAYER_NORM = ("gain_h", "shift_h", "gain_x", "shift_x")
TRANSCRIPTIONS: dict[str, Transcription] = {
    "rnn_tanh": Transcription(simple(tanh), [""]),
    "rnn_relu": Transcription(simple(torch.relu), [""]),
    "rnn_sigmoid": Transcription(simple(sigmoid), [""]),
    "rnn_leaky_relu": Transcription(simple(leaky_relu), [""]),
    "lstm": Transcription(lstm, "ifgo", states=2),
    "lstm_layer_norm": Transcription(
        lstm_layer_norm, "ifgo", states=2, vectors={**dict.fromkeys(LAYER_NORM, "ifgo"), "gain_c": "", "shift_c": ""}
    ),
    "lstm_layer_norm_per_gate": Transcription(
        lstm_layer_norm_per_gate,
        "ifgo",
        states=2,
        vectors={"gain": "ifgo", "shift": "ifgo", "gain_c": "", "shift_c": ""},
    ),
    "gru_layer_norm": Transcription(gru_layer_norm, "rzn", vectors=dict.fromkeys(LAYER_NORM, "rzn")),
    "gru_cudnn": Transcription(gru_cudnn, "rzn"),
    "gru_chung2014": Transcription(gru_chung2014, "rzn"),
    "gru_cho2014": Transcription(gru_cho2014, "rzn"),
    "peephole_lstm": Transcription(peephole_lstm, "ifgo", "ifo", 2),
    "peephole_lstm_full": Transcription(peephole_lstm, "ifgo", "ifo", 2),
    "lstm_projected": Transcription(lstm_projected, "ifgo", states=2, vectors={"weight_hr": ""}),
    "lstm_projected_sak2014": Transcription(lstm_projected_sak2014, "ifgo", "ifo", states=2, vectors={"weight_hr": ""}),
    "slstm": Transcription(slstm, "ifzo", states=4, block_diagonal=True),
}


def gates_of(transcription: Transcription, parameters: Mapping[str, Tensor], suffix: str) -> dict[str, Gate]:
    """The gates of one layer and direction, from the parameters of a gatewise layer.

    Args:
        transcription: the cell.
        parameters: a gatewise layer's, by their names in its state_dict.
        suffix: which: ``_l0``, ``_l0_reverse``, ``_l1``…
    """
    count = len(transcription.gates)
    over_x, over_h = parameters["weight_ih" + suffix].chunk(count), parameters["weight_hh" + suffix].chunk(count)
    hidden = over_h[0].shape[0]
    if transcription.block_diagonal:
        over_h = [torch.block_diag(*of_gate.split(of_gate.shape[1])) for of_gate in over_h]
    zeros = over_h[0].new_zeros(count * hidden)
    biases, inner_biases = (parameters.get(name + suffix, zeros).chunk(count) for name in ("bias_ih", "bias_hh"))
    peepholes: dict[str, Tensor] = {}
    if "p" + suffix in parameters:
        rows = parameters["p" + suffix].chunk(len(transcription.peepholes))
        peepholes = {gate: torch.diag(row) for gate, row in zip(transcription.peepholes, rows, strict=True)}
    elif "P" + suffix in parameters:
        blocks = parameters["P" + suffix].chunk(len(transcription.peepholes))
        peepholes = dict(zip(transcription.peepholes, blocks, strict=True))
    none = over_h[0].new_zeros(hidden, hidden)
    vectors: dict[str, dict[str, Tensor]] = {gate: {} for gate in transcription.gates}
    for name, of in transcription.vectors.items():
        stacked = parameters[name + suffix]
        for gate in transcription.gates:
            if not of or gate in of:
                vectors[gate][name] = stacked.chunk(len(of))[of.index(gate)] if of else stacked
    return {
        gate: Gate(
            torch.cat([over_h[index], over_x[index]], dim=1),
            biases[index],
            inner_biases[index],
            peepholes.get(gate, none),
            vectors[gate],
        )
        for index, gate in enumerate(transcription.gates)
    }


def run_row(
    step: Step, gates: Gates, row: Sequence[Tensor], boundaries: Sequence[bool], state: State
) -> tuple[list[Tensor], State]:
    """One row in reading order: a boundary at t zeroes the state before step t."""
    outputs: list[Tensor] = []
    for x, boundary in zip(row, boundaries, strict=True):
        if boundary:
            state = tuple(torch.zeros_like(part) for part in state)
        state = step(gates, x, state)
        outputs.append(state[0])
    return outputs, state


def run_row_reversed(
    step: Step, gates: Gates, row: Sequence[Tensor], boundaries: Sequence[bool], state: State
) -> tuple[list[Tensor], State]:
    """One row from its end: a boundary at t zeroes the state after step t. Outputs in reading order."""
    outputs: list[Tensor] = []
    for x, boundary in zip(list(row)[::-1], list(boundaries)[::-1], strict=True):
        state = step(gates, x, state)
        outputs.append(state[0])
        if boundary:
            state = tuple(torch.zeros_like(part) for part in state)
    return outputs[::-1], state


RUNS = {"": run_row, "_reverse": run_row_reversed}


def merged(forward: Tensor, reverse: Tensor, merge: str | None, parameters: Mapping[str, Tensor], layer: int) -> Tensor:
    """What two directions give together at one step, (H,) or (2·H,)."""
    if merge == "sum":
        return forward + reverse
    if merge == "mean":
        return 0.5 * (forward + reverse)
    if merge == "mul":
        return forward * reverse
    both = torch.cat([forward, reverse])
    if merge == "learned":
        mapped = parameters[f"merge_weight_l{layer}"] @ both
        return mapped + parameters[f"merge_bias_l{layer}"] if f"merge_bias_l{layer}" in parameters else mapped
    return both


def run_layers(
    transcription: Transcription,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    initial: Sequence[Tensor],
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    merge: str | None = "concat",
    lengths: Sequence[int] | None = None,
    reset: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """A whole layer over a padded batch.

    Args:
        transcription: the cell.
        parameters: of the gatewise layer, by name.
        x: (T, B, I).
        initial: per state (D·L, B, H).
        lengths, reset: as in gatewise; reset (T, B).

    Returns:
        Output (T, B, …), a pair of directions side by side, and the final states, each (D·L, B, H).
    """
    steps, batch, _ = x.shape
    suffixes = list(RUNS) if bidirectional else [""]
    width = initial[0].shape[2] * (2 if bidirectional and merge in ("concat", None) else 1)
    rows: list[Tensor] = []
    finals: list[list[State]] = []
    for b in range(batch):
        length = steps if lengths is None else int(lengths[b])
        row = [x[t, b] for t in range(length)]
        boundaries = [reset is not None and bool(reset[t, b]) for t in range(length)]
        row_finals: list[State] = []
        for layer in range(num_layers):
            sides: list[list[Tensor]] = []
            for index, suffix in enumerate(suffixes):
                gates = gates_of(transcription, parameters, f"_l{layer}{suffix}")
                state = tuple(whole[layer * len(suffixes) + index, b] for whole in initial)
                outputs, final = RUNS[suffix](transcription.step, gates, row, boundaries, state)
                sides.append(outputs)
                row_finals.append(final)
            row = sides[0]
            if bidirectional:
                row = [merged(f, r, merge, parameters, layer) for f, r in zip(*sides, strict=True)]
        rows.append(torch.stack([*row, *[x.new_zeros(width)] * (steps - length)]))
        finals.append(row_finals)
    if not rows:
        return x.new_zeros(steps, 0, width), [state.clone() for state in initial]
    return torch.stack(rows, dim=1), [
        torch.stack([torch.stack([state[which] for state in row_finals]) for row_finals in finals], dim=1)
        for which in range(transcription.states)
    ]
