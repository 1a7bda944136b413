"""ONNX's recurrent operators once more, in float64 numpy and from the text of the specification.

Where ONNX Runtime differs from it, as the runtime does: `clip` spares the operand of h, coupled gates ignore P_f,
ThresholdedRelu is 0 at its threshold. A row of length 0 keeps its initial state, as in gatewise.
"""

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def _softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


ACTIVATIONS: dict[str, Callable[[Array, float, float], Array]] = {
    "Relu": lambda x, alpha, beta: np.maximum(x, 0),
    "Tanh": lambda x, alpha, beta: np.tanh(x),
    "Sigmoid": lambda x, alpha, beta: np.exp(-_softplus(-x)),
    "Affine": lambda x, alpha, beta: alpha * x + beta,
    "LeakyRelu": lambda x, alpha, beta: np.where(x >= 0, x, alpha * x),
    "ThresholdedRelu": lambda x, alpha, beta: np.where(x > alpha, x, 0),
    "ScaledTanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "HardSigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "Elu": lambda x, alpha, beta: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "Softsign": lambda x, alpha, beta: x / (1 + np.abs(x)),
    "Softplus": lambda x, alpha, beta: _softplus(x),
}
"""By name: the function of x, alpha and beta."""

ALPHA = {"LeakyRelu": 0.01, "ThresholdedRelu": 0.0, "HardSigmoid": 0.2, "Elu": 1.0, "Affine": None, "ScaledTanh": None}
BETA = {"HardSigmoid": 0.5, "Affine": 0.0, "ScaledTanh": None}
"""Defaults of those that have the parameter; None where there is none."""


class Activations:
    """The activations of a node, each with its alpha and beta."""

    def __init__(self, names: list[str], alphas: list[float], betas: list[float], clip: float | None) -> None:
        alphas, betas, self.clip = list(alphas), list(betas), clip
        self.listed = []
        for name in names:
            alpha = (alphas.pop(0) if alphas else ALPHA[name]) if name in ALPHA else 0.0
            beta = (betas.pop(0) if betas else BETA[name]) if name in BETA else 0.0
            self.listed.append((ACTIVATIONS[name], np.float64(np.float32(alpha)), np.float64(np.float32(beta))))

    def __call__(self, index: int, x: Array, clipped: bool = True) -> Array:
        function, alpha, beta = self.listed[index]
        if clipped and self.clip is not None:
            x = np.clip(x, -np.float32(self.clip), np.float32(self.clip))
        return function(x, alpha, beta)


def one_step(
    operator: str,
    act: Activations,
    first: int,
    x: Array,
    state: list[Array],
    weights: dict[str, Array],
    **options: bool,
) -> list[Array]:
    """The states after a step: of one row, in one direction, whose activations begin at ``first``."""
    W, R, B, P = (weights.get(name) for name in "WRBP")
    hidden = R.shape[1]
    gates = W.shape[0] // hidden
    B = np.zeros(2 * gates * hidden) if B is None else B
    Wx = [part + bias for part, bias in zip(np.split(W @ x, gates), np.split(B, 2 * gates)[:gates], strict=True)]
    Rb = np.split(B, 2 * gates)[gates:]
    Rs = np.split(R, gates)
    h = state[0]
    if operator == "RNN":
        return [act(first, Wx[0] + Rs[0] @ h + Rb[0])]
    if operator == "GRU":
        z = act(first, Wx[0] + Rs[0] @ h + Rb[0])
        r = act(first, Wx[1] + Rs[1] @ h + Rb[1])
        if options["linear_before_reset"]:
            n = act(first + 1, Wx[2] + r * (Rs[2] @ h + Rb[2]))
        else:
            n = act(first + 1, Wx[2] + Rs[2] @ (r * h) + Rb[2])
        return [(1 - z) * n + z * h]
    c = state[1]
    p_i, p_o, p_f = np.split(P, 3) if P is not None else (np.zeros(hidden),) * 3
    i = act(first, Wx[0] + Rs[0] @ h + Rb[0] + p_i * c)
    f = 1 - i if options["input_forget"] else act(first, Wx[2] + Rs[2] @ h + Rb[2] + p_f * c)
    c = f * c + i * act(first + 1, Wx[3] + Rs[3] @ h + Rb[3])
    o = act(first, Wx[1] + Rs[1] @ h + Rb[1] + p_o * c)
    return [o * act(first + 2, c, clipped=False), c]


def run(
    operator: str,
    direction: str,
    act: Activations,
    x: Array,
    lengths: Array,
    initial: list[Array],
    weights: dict[str, Array],
    **options: bool,
) -> list[Array]:
    """Y (T, D, B, H) and the final states, (D, B, H) each, of x (T, B, I)."""
    steps, rows, _ = x.shape
    directions = len(weights["W"])
    each = len(act.listed) // directions
    output = np.zeros((steps, directions, rows, initial[0].shape[2]))
    finals = [state.astype(np.float64).copy() for state in initial]
    for index in range(directions):
        of_direction = {name: value[index].astype(np.float64) for name, value in weights.items()}
        backwards = direction == "reverse" or index == 1
        for row in range(rows):
            state = [one[index, row] for one in finals]
            for t in sorted(range(lengths[row]), reverse=backwards):
                state = one_step(
                    operator, act, each * index, x[t, row].astype(np.float64), state, of_direction, **options
                )
                output[t, index, row] = state[0]
            for final, value in zip(finals, state, strict=True):
                final[index, row] = value
    return [output, *finals]
