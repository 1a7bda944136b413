"""The sLSTM where exponentials overflow, and against the equations without a stabiliser."""

import pytest
import torch
from torch import Tensor

import gatewise
from tests.transcriptions import TRANSCRIPTIONS, run_layers

LENGTHS = [9, 0, 4, 7]
RESET = torch.zeros(9, 4, dtype=torch.bool)
RESET[3, 0] = RESET[0, 2] = RESET[6, 3] = RESET[2, 3] = True


def extreme(dtype: torch.dtype, backend: str) -> tuple[list[Tensor], list[Tensor]]:
    """Output, final states and gradients of a layer with pre-activations of up to ±200; and the transcription's."""
    torch.manual_seed(3)
    layer = gatewise.Recurrent("slstm", 4, 5, bidirectional=True, backend=backend, dtype=torch.float64)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("weight_ih"):  # one input for each gate, of either sign
                parameter.copy_(torch.eye(4, dtype=torch.float64).repeat_interleave(5, 0))
                parameter[0:20:3] *= -1
            elif name.startswith("weight_hh"):
                parameter.mul_(0.1)
    levels = torch.tensor([-200.0, -90.0, -1.0, 0.5, 30.0, 200.0], dtype=torch.float64)
    x = levels[torch.randint(6, (9, 4, 4))]
    x[..., 2:] /= 100  # candidate and output gate: not all saturated
    layer, x = layer.to(dtype), x.to(dtype).requires_grad_()
    exact = {name: one.detach().double().requires_grad_() for name, one in layer.named_parameters()}
    exact_x = x.detach().double().requires_grad_()
    output, finals = layer(x, lengths=torch.tensor(LENGTHS), reset=RESET)
    zeros = [torch.zeros(2, 4, 5, dtype=torch.float64) for _ in range(4)]
    wanted = run_layers(
        TRANSCRIPTIONS["slstm"], exact, exact_x, zeros, bidirectional=True, lengths=LENGTHS, reset=RESET
    )
    upstream = torch.randn(9, 4, 10, dtype=torch.float64)
    found = torch.autograd.grad(output, [x, *layer.parameters()], upstream.to(dtype))
    expected = torch.autograd.grad(wanted[0], [exact_x, *exact.values()], upstream)
    return [output, *finals, *found], [wanted[0], *wanted[1], *expected]


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pre_activations_of_200_with_resets_and_ragged_rows(dtype: torch.dtype, backend: str):
    actual, expected = extreme(dtype, backend)
    tolerance = {torch.float32: 2e-5, torch.float64: 1e-12}[dtype]
    for one, other in zip(actual, expected, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance)
    assert actual[4].abs().max() >= 200  # the stabiliser


def test_a_reset_of_one_row_starts_it_again_and_leaves_the_others():
    torch.manual_seed(0)
    layer = gatewise.Recurrent("slstm", 3, 4)
    x = torch.randn(6, 2, 3) * 40
    reset = torch.zeros(6, 2, dtype=torch.bool)
    reset[2, 0] = True
    output, _ = layer(x, reset=reset)
    torch.testing.assert_close(output[2:, 0], layer(x[2:, :1])[0][:, 0])
    torch.testing.assert_close(output[:, 1], layer(x[:, 1:])[0][:, 0])


def test_the_output_is_that_of_the_equations_without_a_stabiliser():
    torch.manual_seed(1)
    layer = gatewise.Recurrent("slstm", 3, 4, dtype=torch.float64)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    h, c, n = (torch.zeros(2, 4, dtype=torch.float64) for _ in range(3))
    outputs: list[Tensor] = []
    for x_t in x:
        gates = x_t @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T + layer.bias_ih_l0
        i, f, z, o = gates.chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + i.exp() * z.tanh()
        n = torch.sigmoid(f) * n + i.exp()
        h = torch.sigmoid(o) * c / n
        outputs.append(h)
    output, (_, *states) = layer(x)
    torch.testing.assert_close(output, torch.stack(outputs), rtol=1e-12, atol=1e-14)
    scaled = states[2][0].exp()
    torch.testing.assert_close(states[0][0] * scaled, c)
    torch.testing.assert_close(states[1][0] * scaled, n)
    parameters = list(layer.parameters())
    upstream = torch.randn_like(output)
    found = torch.autograd.grad(output, parameters, upstream)
    wanted = torch.autograd.grad(torch.stack(outputs), parameters, upstream)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
