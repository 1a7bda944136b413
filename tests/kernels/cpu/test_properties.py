"""The engine against the reference, in workspaces full of NaN, for whatever may be asked of it.

Any lengths and resets, padding of NaN and infinity, upstream gradients of any layout, any subset of gradients.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatewise.cells import lookup, names
from gatewise.compiler import without_bias
from gatewise.kernels import Call, Directions
from tests.agreement import possible_heads
from tests.combinations import examples
from tests.kernels.calls import DIRECTIONS, call_of, flat, on_engine, on_reference
from tests.kernels.cpu.workspaces import full_of_nan
from tests.kernels.engine import needs_engine

pytestmark = needs_engine


@st.composite
def calls(draw: st.DrawFn) -> Call:
    cell = lookup(draw(st.sampled_from(names())))
    steps, batch = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    lengths = draw(st.none() | st.lists(st.integers(0, steps), min_size=batch, max_size=batch))
    # Less than a register, several strips, and parts of them.
    hidden = draw(st.integers(1, 9) | st.sampled_from([16, 17, 33, 70]))
    return call_of(
        cell if draw(st.booleans()) else without_bias(cell),
        draw(st.sampled_from(DIRECTIONS)),
        steps=steps,
        batch=batch,
        input_size=draw(st.integers(1, 5)),
        hidden_size=hidden,
        heads=draw(st.sampled_from(possible_heads(cell, hidden))),
        lengths=lengths,
        reset=draw(st.booleans()),
        requires_grad=False,
        seed=draw(st.integers(0, 1000)),
    )


def past_the_end(call: Call) -> Tensor:
    """(T, B): which steps are padding."""
    steps, batch, _ = call.x.shape
    if call.lengths is None:
        return torch.zeros(steps, batch, dtype=torch.bool)
    return torch.arange(steps)[:, None] >= call.lengths


@st.composite
def gradients_of(draw: st.DrawFn, shapes: Sequence[torch.Size], padding: Tensor) -> list[Tensor | None]:
    """Upstream gradients: none, dense, spread out, transposed, or one value for all; of padding it does not matter."""
    found: list[Tensor | None] = []
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    for position, (a, b, c) in enumerate(shapes):
        match draw(st.integers(0, 5)):
            case 0:
                found.append(None)
            case 1:
                found.append(normal(a, b, 2 * c)[..., ::2])
            case 2:
                found.append(normal(c, b, a).permute(2, 1, 0))
            case 3:
                found.append(normal(1, 1, 1).expand(a, b, c))
            case 4:
                found.append(normal(1, b, 1).expand(a, b, c))
            case _:
                dense = normal(a, b, c)
                if position == 0:
                    dense[padding] = torch.nan
                found.append(dense)
    return found


def outcome(
    call: Call, run: object, upstream: Sequence[Tensor | None], needed: Sequence[bool]
) -> tuple[tuple[Tensor, ...], list[Tensor | None]]:
    """Output, final states and gradients; a gradient that is None is zero."""
    leaves = tuple(tensor.detach().requires_grad_(wanted) for tensor, wanted in zip(call.tensors, needed, strict=True))
    results = flat(run(call.with_tensors(leaves)))  # type: ignore[operator]
    pairs = [(a, b) for a, b in zip(results, upstream, strict=True) if b is not None and a.requires_grad]
    asked = [leaf for leaf in leaves if leaf.requires_grad]
    if not pairs or not asked:
        return results, [None] * len(asked)
    found = torch.autograd.grad([a for a, _ in pairs], asked, [b for _, b in pairs], allow_unused=True)
    return results, list(found)


def close(actual: Tensor | None, expected: Tensor | None) -> None:
    if actual is None or expected is None:
        given = expected if actual is None else actual
        assert given is None or (given == 0).all()
        return
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-11)


@settings(max_examples=examples(250))
@given(st.data())
def test_agrees_with_the_reference(data: st.DataObject):
    call = data.draw(calls())
    padding = past_the_end(call)
    with torch.no_grad():
        shapes = [result.shape for result in flat(on_reference(call))]
    upstream = data.draw(gradients_of(shapes, padding))
    needed = data.draw(st.lists(st.booleans(), min_size=len(call.tensors), max_size=len(call.tensors)))
    clean = [None if above is None else above.nan_to_num(0.0) for above in upstream]
    expected, expected_gradients = outcome(call, on_reference, clean, needed)
    x = call.x.clone()
    x[padding] = data.draw(st.sampled_from([torch.nan, torch.inf, -torch.inf]))
    layout = data.draw(st.sampled_from([lambda x: x, lambda x: x.permute(2, 1, 0).contiguous().permute(2, 1, 0)]))
    with full_of_nan():
        actual, gradients = outcome(replace(call, x=layout(x)), on_engine, upstream, needed)
    for one, other in zip(actual, expected, strict=True):
        close(one, other)
    for one, other in zip(gradients, expected_gradients, strict=True):
        close(one, other)


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("cell", names())
def test_every_single_gradient_is_that_of_all(cell: str, directions: Directions):
    call = call_of(cell, directions, lengths=[4, 0, 3], reset=True)
    results = flat(on_engine(call))
    above = tuple(torch.randn_like(result) for result in results)
    every = torch.autograd.grad(results, call.tensors, above, materialize_grads=True)
    for position, expected in enumerate(every):
        needed = [index == position for index in range(len(call.tensors))]
        with full_of_nan():
            _, (gradient,) = outcome(call, on_engine, above, needed)
        assert gradient is not None
        assert torch.equal(gradient, expected)


def test_infinity_and_nan_in_a_row_stay_there():
    call = call_of("lstm", "bidirectional", batch=6, hidden_size=20, requires_grad=False)
    clean = flat(on_engine(call))
    x = call.x.clone()
    x[2, 3] = torch.nan
    actual = flat(on_engine(replace(call, x=x)))
    others = [0, 1, 2, 4, 5]
    for one, other in zip(actual, clean, strict=True):
        assert torch.equal(one[:, others], other[:, others])
    assert actual[0][:2, 3, :20].isfinite().all()
    assert actual[0][2:, 3, :20].isnan().all()


def test_a_reset_stops_nan():
    """What stood before a boundary is not multiplied by zero but left behind, in both passes."""
    call = call_of("gru_cudnn", steps=6)
    x = call.x.detach().clone()
    x[1, 0] = torch.nan
    reset = torch.zeros(6, 3, dtype=torch.bool)
    reset[3, 0] = True
    call = replace(call, x=x.requires_grad_(), reset=reset)
    output = flat(on_engine(call))[0]
    assert output[1:3, 0].isnan().all()
    assert output[3:].isfinite().all()
    (gradient,) = torch.autograd.grad(output[3:].sum(), x)
    assert (gradient[:3, 0] == 0).logical_or(gradient[:3, 0].isnan()).all()
    assert gradient[3:].isfinite().all()
