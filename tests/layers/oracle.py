"""A layer's call compared with the reference backend in float64, on the values that its tensors hold now."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from gatewise.diagnostics import Trace
from gatewise.layers import Recurrent
from tests.agreement import Results, assert_agrees, rounded_if_normalised


def copy_of(layer: Recurrent, dtype: torch.dtype) -> Recurrent:
    """A layer of the reference backend with the same weights, in memory of its own."""
    copy = Recurrent(
        layer.cell,
        layer.input_size,
        layer.hidden_size,
        layer.num_layers,
        bidirectional=layer.bidirectional,
        merge=layer.merge,
        reverse=layer.reverse,
        masked_output=layer.masked_output,
        batch_first=layer.batch_first,
        backend="reference",
        proj_size=layer.proj_size,
        heads=layer.heads,
        dtype=dtype,
    )
    with torch.no_grad():
        for parameter, original in zip(copy.parameters(), layer.parameters(), strict=True):
            parameter.copy_(original)
    return copy.requires_grad_(layer.all_weights[0][0].requires_grad)


def states_of(state: Any) -> tuple[Tensor, ...]:
    """The states as a tuple, whatever the cell."""
    return state if isinstance(state, tuple) else (state,)


def call(layer: Recurrent, x: Tensor, hx: Sequence[Tensor] = (), **options: Any) -> Results:
    """Output and final states of a call, and in training the gradients of everything.

    The upstream gradients are drawn from the shapes alone, so the same call has the same.
    """
    training = torch.is_grad_enabled()
    x = x.detach().requires_grad_(training)
    hx = tuple([state.detach().requires_grad_(training) for state in hx])
    output, state = layer(x, (hx if len(hx) > 1 else hx[0]) if hx else None, **options)
    finals = states_of(state)
    found = {
        "output": output.detach(),
        **{f"final state {index}": final.detach() for index, final in enumerate(finals)},
    }
    if training:
        leaves = {"x": x, **{f"hx {index}": one for index, one in enumerate(hx)}, **dict(layer.named_parameters())}
        draw = torch.Generator().manual_seed(output.numel())
        upstream = [torch.randn(one.shape, generator=draw).to(one.dtype) for one in (output, *finals)]
        # A state that nothing has touched, as with lengths of 0 from a zero state, has no history.
        roots, upstream = zip(
            *(both for both in zip((output, *finals), upstream, strict=True) if both[0].requires_grad), strict=True
        )
        gradients = torch.autograd.grad(roots, [*leaves.values()], upstream, materialize_grads=True)
        found |= {f"gradient of {name}": one for name, one in zip(leaves, gradients, strict=True)}
    return found


def expected(layer: Recurrent, dtype: torch.dtype, x: Tensor, hx: Sequence[Tensor] = (), **options: Any) -> Results:
    """What the reference makes of a call in ``dtype``."""
    return call(copy_of(layer, dtype), x.detach().to(dtype), [state.detach().to(dtype) for state in hx], **options)


def check_call(layer: Recurrent, x: Tensor, hx: Sequence[Tensor] = (), **options: Any) -> Results:
    """Check a call against the reference; what came of it."""
    actual = call(layer, x, hx, **options)
    exact = expected(layer, torch.float64, x, hx, **options)
    assert_agrees(
        actual,
        exact,
        exact if x.dtype == torch.float64 else expected(layer, x.dtype, x, hx, **options),
        x.dtype,
        rounded=rounded_if_normalised(layer.cell, x.dtype, lambda: expected(layer, torch.float64, x, hx, **options)),
    )
    return actual


@torch.no_grad()
def check_steps(
    layer: Recurrent, outputs: Sequence[Tensor], state: Any, x: Tensor, hx: Sequence[Tensor] = (), **options: Any
) -> None:
    """Check what single steps of a layer returned against the reference's call with the whole sequence.

    Args:
        layer: the layer.
        outputs: of the steps.
        state: after the last one.
        x: their inputs, (T, B, I) or (T, I) whatever `batch_first` says.
        hx: the state before them.
        options: of the call with the sequence, time first.
    """

    def whole(dtype: torch.dtype) -> Results:
        copy = copy_of(layer, dtype)
        copy.batch_first = False
        return call(copy, x.to(dtype), [one.to(dtype) for one in hx], **options)

    finals = {f"final state {index}": one for index, one in enumerate(states_of(state))}
    exact = whole(torch.float64)
    plain = exact if x.dtype == torch.float64 else whole(x.dtype)
    rounded = rounded_if_normalised(layer.cell, x.dtype, lambda: whole(torch.float64))
    assert_agrees({"output": torch.stack([*outputs]), **finals}, exact, plain, x.dtype, rounded=rounded)


def check_contributions(trace: Trace, layer: Recurrent) -> None:
    """The contributions of the steps add up to the gradients of a watched layer."""
    shares = trace.contributions(shares=True)
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(shares[name].sum(0), parameter.grad, rtol=1e-9, atol=1e-10)
    assert trace.diagnose() is not None


def check_gradients_by_row(layer: Recurrent, x: Tensor) -> None:
    """The gradients of rows, by torch.func, add up to those of the batch."""
    parameters = dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
        return functional_call(layer, parameters, (row,))[0].square().sum()

    by_row = vmap(grad(loss), (None, 1))(parameters, x)
    layer(x)[0].square().sum().backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(by_row[name].sum(0), parameter.grad)
