import pytest
import torch

from gatewise.data.generated.adding import adding
from gatewise.layers import Recurrent
from gatewise.studies.problems import Adding, Network
from gatewise.studies.regulariser import add_regulariser


def test_the_gradient_is_that_of_the_ratios_of_norms():
    torch.manual_seed(0)
    network = Network(Recurrent("rnn_tanh", 2, 4, dtype=torch.float64), Adding(10)).double()
    drawn = adding(3, 10, generator=torch.Generator().manual_seed(0))
    drawn = type(drawn)(drawn.inputs.double(), drawn.targets.double(), drawn.lengths)
    answer = network(drawn)
    network.retain_output_gradient()
    (answer[:, 0] - drawn.targets).square().mean().backward()
    weights = network.layer.weight_hh_l0
    before, output = weights.grad.clone(), network.output.detach()
    add_regulariser(network, 0.5)

    # Brute force: δ of every state by autograd of an unrolled loop, then Ω as written, with W alone as a variable.
    layer, states, h = network.layer, [], torch.zeros(3, 4, dtype=torch.float64)
    for x in drawn.inputs:
        h = torch.tanh(x @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0)
        h.retain_grad()
        states.append(h)
    last = torch.stack(states)[drawn.lengths - 1, torch.arange(3)]
    (network.readout(last)[:, 0] - drawn.targets).square().mean().backward()
    variable = weights.detach().clone().requires_grad_()
    omega = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(drawn.lengths.tolist()):
        for t in range(length - 1):
            delta = states[t + 1].grad[row]
            through = (delta * (1 - output[t + 1, row] ** 2)) @ variable
            omega = omega + (through.norm() / delta.norm() - 1) ** 2 / 3
    omega.backward()
    added = weights.grad - 2 * before  # the loop's own backward pass has added the loss's gradient once more
    assert added.flatten().tolist() == pytest.approx((0.5 * variable.grad).flatten().tolist(), rel=1e-9)
