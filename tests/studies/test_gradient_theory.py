import math

import pytest
import torch

from gatewise.layers import Recurrent
from gatewise.studies.gradient_rates import fitted_rate, gradient_rate
from gatewise.studies.gradient_theory import lyapunov_exponent, mean_field_rate, rate_bound


@pytest.fixture(scope="module")
def run():
    torch.manual_seed(0)
    layer = Recurrent("rnn_tanh", 3, 16, init="xavier", dtype=torch.float64)
    x = torch.randn(60, 1, 3, dtype=torch.float64)
    return layer, x


def test_the_exponent_is_that_of_the_product_of_autograd_jacobians(run):
    layer, x = run
    states = layer(x)[0].detach()[:, 0]
    product, before = torch.eye(16, dtype=torch.float64), torch.zeros(16, dtype=torch.float64)
    for t in range(60):

        def step(h, x_t=x[t, 0]):
            bias = layer.bias_ih_l0 + layer.bias_hh_l0
            return torch.tanh(layer.weight_ih_l0 @ x_t + layer.weight_hh_l0 @ h + bias)

        jacobian = torch.autograd.functional.jacobian(step, before)
        product, before = jacobian @ product, states[t]
        if t == 19:
            early = torch.linalg.matrix_norm(product, ord=2).log()
    whole = torch.linalg.matrix_norm(product, ord=2).log()
    assert lyapunov_exponent(states, layer.weight_hh_l0.detach(), "tanh", skip=20) == pytest.approx(
        float(whole - early) / 40, rel=0.05
    )


def test_the_measured_rate_agrees_with_the_exponent_and_the_bound(run):
    layer, x = run
    found = gradient_rate(layer, x)
    states = layer(x)[0].detach()[:, 0]
    exponent = lyapunov_exponent(states, layer.weight_hh_l0.detach(), "tanh")
    assert found.rate == pytest.approx(exponent, rel=0.2)
    assert found.rate < rate_bound(layer.weight_hh_l0.detach(), "tanh")


def test_a_scaled_orthogonal_matrix_in_a_linear_network_gives_its_logarithm():
    matrix = 0.7 * torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))[0]
    states = torch.zeros(30, 8)
    assert lyapunov_exponent(states, matrix, "tanh") == pytest.approx(math.log(0.7))
    assert rate_bound(matrix, "tanh") == pytest.approx(math.log(0.7))


def test_an_exponent_of_dead_units_is_minus_infinity():
    assert lyapunov_exponent(torch.zeros(30, 4), torch.eye(4), "relu") == -math.inf


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_mean_field_agrees_with_a_wide_random_network(activation):
    torch.manual_seed(0)
    width, variance, inputs = 400, 0.81, 1.0
    layer = Recurrent(f"rnn_{activation}", 8, width, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.normal_(std=(variance / width) ** 0.5)
        layer.weight_ih_l0.normal_(std=(inputs / 8) ** 0.5)
    found = gradient_rate(layer, torch.randn(60, 1, 8, dtype=torch.float64))
    assert found.rate == pytest.approx(mean_field_rate(activation, variance, inputs), rel=0.2)


def test_relu_beyond_he_has_no_fixed_point():
    with pytest.raises(ValueError, match="no fixed point"):
        mean_field_rate("relu", 3.0, 1.0)


def test_the_fit_excludes_near_distances_and_underflow():
    norms = torch.tensor([1.0] * 10 + [0.5**d for d in range(10, 20)] + [0.0] * 5, dtype=torch.float64)
    found = fitted_rate(norms)
    assert found.rate == pytest.approx(math.log(0.5))
    assert found.norms[-1] == 0.0
    assert fitted_rate(norms[:11]).rate is None
