"""The regulariser of Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063, section 3.3) against vanishing gradients."""

import torch
from torch import Tensor

from gatewise.studies.problems import Network


def add_regulariser(network: Network, weight: float) -> None:
    """Add the gradient of the regulariser Ω to that of the recurrent weights of a tanh network.

    Ω = Σ_t (‖δ_{t+1} ∂h_{t+1}/∂h_t‖ / ‖δ_{t+1}‖ − 1)², the mean over sequences, where δ_t = ∂L/∂h_t. It asks that the
    gradient keep its norm from each step to the one before. As in the paper, only its immediate derivative with respect
    to the recurrent weights counts; h and δ are constants. Called after the backward pass of a loss.

    Args:
        network: of one layer of tanh units, whose ``output`` retains its gradient.
        weight: the factor of Ω.
    """
    weights, output = network.layer.weight_hh_l0, network.output
    assert isinstance(weights, torch.nn.Parameter)
    assert output is not None
    assert output.grad is not None, "the output must retain its gradient"
    slopes = 1 - output.detach().square()
    deltas = _total_gradients(output.grad, slopes, weights.detach())[1:]
    norms = deltas.norm(dim=-1)
    reached = norms > 0  # not after the end of a sequence
    with torch.enable_grad():
        given = weights.detach().requires_grad_()
        ratios = ((deltas * slopes[1:]) @ given).norm(dim=-1)[reached] / norms[reached]
        omega = (ratios - 1).square().sum() / output.shape[1]
        (gradient,) = torch.autograd.grad(omega, given)
    assert weights.grad is not None
    weights.grad.add_(gradient, alpha=weight)


def _total_gradients(direct: Tensor, slopes: Tensor, weights: Tensor) -> Tensor:
    """δ_t = ∂L/∂h_t, (T, B, H): the direct gradient of each output, and what comes from the next step."""
    total = direct.clone()
    for t in range(len(direct) - 2, -1, -1):
        total[t].addmm_(total[t + 1] * slopes[t + 1], weights)
    return total
