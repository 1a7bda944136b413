"""The best loop over time that can be written in Python with torch's eager operations, by cell.

Everything that does not depend on the state is taken out of the loop and computed for all steps at once, biases
included; a step is one product (two where a product follows a gate) and as few operations as torch's vocabulary
allows. A cell without a loop of its own gets the reference's, which evaluates its graph.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.layers import Recurrent

Loop = Callable[..., Tensor]


def loop_for(cell: str, hidden_size: int) -> Loop:
    """From x (T, B, H) and the weights, in the order of the cell's groups, to the output (T, B, H)."""
    return LOOPS.get(cell) or _reference(cell, hidden_size)


def lstm(x: Tensor, W: Tensor, R: Tensor, b: Tensor, d: Tensor) -> Tensor:
    """Gates i f g o."""
    transposed = R.t()
    h = c = x.new_zeros(x.shape[1], R.shape[1])
    outputs: list[Tensor] = []
    for from_input in functional.linear(x, W, b + d).unbind():
        a = torch.addmm(from_input, h, transposed)
        i, f, _, o = a.sigmoid().chunk(4, 1)
        g = a.chunk(4, 1)[2].tanh()
        c = torch.addcmul(f * c, i, g)
        h = o * c.tanh()
        outputs.append(h)
    return torch.stack(outputs)


def gru_cudnn(x: Tensor, W: Tensor, R: Tensor, b: Tensor, d: Tensor) -> Tensor:
    """Gates r z n, reset after the product."""
    hidden = R.shape[1]
    h = x.new_zeros(x.shape[1], hidden)
    outputs: list[Tensor] = []
    from_input = functional.linear(x, W, b)
    for x_rz, x_n in zip(from_input[..., : 2 * hidden].unbind(), from_input[..., 2 * hidden :].unbind(), strict=True):
        a = functional.linear(h, R, d)
        r, z = (x_rz + a[:, : 2 * hidden]).sigmoid().chunk(2, 1)
        n = torch.addcmul(x_n, r, a[:, 2 * hidden :]).tanh()
        h = torch.lerp(n, h, z)
        outputs.append(h)
    return torch.stack(outputs)


def gru_chung2014(x: Tensor, W: Tensor, R: Tensor, b: Tensor) -> Tensor:
    """Gates r z n, reset before the product, z admits the candidate."""
    return _reset_before(x, W, R, b, lambda h, n, z: torch.lerp(h, n, z))


def gru_cho2014(x: Tensor, W: Tensor, R: Tensor, b: Tensor) -> Tensor:
    """Gates r z n, reset before the product, z keeps the old state."""
    return _reset_before(x, W, R, b, lambda h, n, z: torch.lerp(n, h, z))


def _reset_before(
    x: Tensor, W: Tensor, R: Tensor, b: Tensor, mix: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    hidden = R.shape[1]
    R_rz, R_n = R[: 2 * hidden].t(), R[2 * hidden :].t()
    h = x.new_zeros(x.shape[1], hidden)
    outputs: list[Tensor] = []
    from_input = functional.linear(x, W, b)
    for x_rz, x_n in zip(from_input[..., : 2 * hidden].unbind(), from_input[..., 2 * hidden :].unbind(), strict=True):
        r, z = torch.addmm(x_rz, h, R_rz).sigmoid().chunk(2, 1)
        n = torch.addmm(x_n, r * h, R_n).tanh()
        h = mix(h, n, z)
        outputs.append(h)
    return torch.stack(outputs)


def peephole_lstm(x: Tensor, W: Tensor, R: Tensor, p: Tensor, b: Tensor) -> Tensor:
    """Gates i f g o, each but g seeing the cell state."""
    hidden = R.shape[1]
    transposed, p_if, p_o = R.t(), p[: 2 * hidden].view(2, hidden), p[2 * hidden :]
    h = c = x.new_zeros(x.shape[1], hidden)
    outputs: list[Tensor] = []
    for from_input in functional.linear(x, W, b).unbind():
        a_if, a_g, a_o = torch.addmm(from_input, h, transposed).split([2 * hidden, hidden, hidden], 1)
        i, f = torch.addcmul(a_if.unflatten(1, (2, hidden)), p_if, c.unsqueeze(1)).sigmoid().unbind(1)
        c = torch.addcmul(f * c, i, a_g.tanh())
        h = torch.addcmul(a_o, p_o, c).sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs)


def rnn_tanh(x: Tensor, W: Tensor, R: Tensor, b: Tensor, d: Tensor) -> Tensor:
    """One tanh."""
    transposed = R.t()
    h = x.new_zeros(x.shape[1], R.shape[1])
    outputs: list[Tensor] = []
    for from_input in functional.linear(x, W, b + d).unbind():
        h = torch.addmm(from_input, h, transposed).tanh()
        outputs.append(h)
    return torch.stack(outputs)


LOOPS: dict[str, Loop] = {
    "lstm": lstm,
    "gru_cudnn": gru_cudnn,
    "gru_chung2014": gru_chung2014,
    "gru_cho2014": gru_cho2014,
    "peephole_lstm": peephole_lstm,
    "rnn_tanh": rnn_tanh,
}


def _reference(cell: str, hidden_size: int) -> Loop:
    layer = Recurrent(cell, hidden_size, hidden_size, backend="reference", device="meta")
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))[0]

    return run
