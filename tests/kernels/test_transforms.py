"""torch.func: vmap, per-sample gradients, Jacobians and forward mode, through the reference."""

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap

import gatewise
from tests.agreement import CELLS


def layer_of(cell: str, **options: object) -> gatewise.Recurrent:
    torch.manual_seed(0)
    return gatewise.Recurrent(CELLS[cell], 3, 4, init="torch", dtype=torch.float64, **options)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_vmap_over_inputs(cell: str, options: dict[str, object]):
    layer = layer_of(cell, **options)
    x = torch.randn(6, 5, 2, 3, dtype=torch.float64)
    actual = vmap(lambda one: layer(one)[0])(x)
    torch.testing.assert_close(actual, torch.stack([layer(one)[0] for one in x]))


@pytest.mark.parametrize("cell", ["lstm", "gru_chung2014"])
def test_vmap_over_resets_and_lengths(cell: str):
    layer = layer_of(cell)
    x = torch.randn(6, 5, 2, 3, dtype=torch.float64)
    reset = torch.rand(6, 5, 2) < 0.4
    actual = vmap(lambda one, flags: layer(one, reset=flags)[0])(x, reset)
    torch.testing.assert_close(
        actual, torch.stack([layer(one, reset=flags)[0] for one, flags in zip(x, reset, strict=True)])
    )
    lengths = torch.tensor([5, 2])
    actual = vmap(lambda one: layer(one, lengths=lengths)[0])(x)
    torch.testing.assert_close(actual, torch.stack([layer(one, lengths=lengths)[0] for one in x]))


@pytest.mark.parametrize("cell", CELLS)
def test_per_sample_gradients(cell: str):
    layer = layer_of(cell, batch_first=True)
    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    x = torch.randn(6, 5, 3, dtype=torch.float64)

    def loss(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
        return functional_call(layer, parameters, (row.unsqueeze(0),))[0].square().sum()

    actual = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    for index, row in enumerate(x):
        layer.zero_grad()
        layer(row.unsqueeze(0))[0].square().sum().backward()
        for name, parameter in layer.named_parameters():
            torch.testing.assert_close(actual[name][index], parameter.grad)


# torch's own rules for forward mode are TorchScript functions still.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("cell", ["lstm", "gru_cudnn", "minimal_gated_unit"])
def test_jacobians_forward_and_reverse(cell: str):
    layer = layer_of(cell)
    x = torch.randn(3, 1, 3, dtype=torch.float64)

    def function(x: Tensor) -> Tensor:
        return layer(x)[0]

    expected = torch.autograd.functional.jacobian(function, x)
    torch.testing.assert_close(jacrev(function)(x), expected)
    torch.testing.assert_close(jacfwd(function)(x), expected)
    tangent = torch.randn_like(x)
    _, actual = jvp(function, (x,), (tangent,))
    torch.testing.assert_close(actual, torch.einsum("abcdef,def->abc", expected, tangent))


@pytest.mark.parametrize("backend", ["cpu", "torch"])
def test_a_backend_by_name_that_cannot_be_transformed_says_so(backend: str):
    layer = layer_of("lstm", backend=backend)
    with pytest.raises(ValueError, match=rf"backend '{backend}' was asked for by name.*torch\.func.*backend='auto'"):
        vmap(lambda one: layer(one)[0])(torch.randn(6, 5, 2, 3, dtype=torch.float64))


def test_backend_for_says_that_a_transform_is_followed_through_the_reference():
    layer = layer_of("lstm")
    seen = []

    def function(x: Tensor) -> Tensor:
        seen.append(layer.backend_for(x))
        return layer(x)[0]

    vmap(function)(torch.randn(6, 5, 2, 3, dtype=torch.float64))
    assert seen[0].name == "reference"
    assert "torch.func" in seen[0].reason


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("grad_mode", [True, False])
def test_forward_mode_without_torch_func(grad_mode: bool, backend: str):
    layer = layer_of("lstm", backend=backend, checkpoint_every=2)
    x, tangent = torch.randn(2, 5, 2, 3, dtype=torch.float64)
    _, expected = jvp(lambda x: layer(x)[0], (x,), (tangent,))
    with forward_ad.dual_level(), torch.set_grad_enabled(grad_mode):
        dual = forward_ad.make_dual(x, tangent)
        assert "forward-mode" in layer.backend_for(dual).reason
        torch.testing.assert_close(forward_ad.unpack_dual(layer(dual)[0]).tangent, expected)
        # What carries no tangent is no business of it.
        assert "forward-mode" not in layer.backend_for(x).reason


@pytest.mark.parametrize("cell", ["lstm", "gru_chung2014"])
def test_a_layer_that_keeps_states_alone_is_transformed_too(cell: str):
    layer, plain = layer_of(cell, checkpoint_every=2), layer_of(cell)
    x = torch.randn(4, 5, 2, 3, dtype=torch.float64)
    actual, expected = (vmap(grad(lambda row, of=of: of(row)[0].square().sum()))(x) for of in (layer, plain))
    torch.testing.assert_close(actual, expected)


class Mapped(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = layer_of("gru_cudnn")

    def forward(self, x: Tensor) -> Tensor:
        return vmap(lambda one: self.layer(one)[0])(x)


def test_transform_inside_a_compiled_function_breaks_the_graph():
    torch._dynamo.reset()
    mapped, x = Mapped().requires_grad_(False), torch.randn(6, 5, 2, 3, dtype=torch.float64)
    expected = torch.stack([mapped.layer(one)[0] for one in x])
    torch.testing.assert_close(torch.compile(lambda x: mapped(x) + 1, backend="aot_eager")(x), expected + 1)
    torch._dynamo.reset()
    whole = torch.compile(mapped, backend="aot_eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"torch\.func transforms.* reference alone, outside of"):
        whole(x)
    torch._dynamo.reset()
    compiled = torch.compile(mapped.layer, backend="aot_eager")
    torch.testing.assert_close(vmap(lambda one: compiled(one)[0])(x), expected)


def test_an_exported_transform_is_the_reference_written_out():
    mapped, x = Mapped().requires_grad_(False), torch.randn(6, 5, 2, 3, dtype=torch.float64)
    program = torch.export.export(mapped, (x,))
    assert not any("gatewise" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x), mapped(x))


def test_a_layer_in_training_inside_a_transform_of_something_else():
    layer, x, scale = gatewise.LSTM(3, 4), torch.randn(5, 2, 3), torch.randn(3)
    output = torch.func.vmap(lambda one: layer(x)[0] * one)(scale)
    torch.testing.assert_close(output, layer(x)[0] * scale[:, None, None, None])
    output.sum().backward()
    assert layer.weight_hh_l0.grad is not None
