"""Masks of a call: the generator, the same bits in both backends, and their gradients."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gatewise.equations import cell, dropout, zoneout
from gatewise.kernels import Directions, run
from gatewise.kernels.cpu import execution
from gatewise.kernels.masks import Masks, philox, rates_of
from tests.combinations import combinations
from tests.kernels.calls import DIRECTIONS, call_of, flat, on_engine, on_reference, upstream_of
from tests.kernels.cpu.workspaces import full_of_nan
from tests.kernels.engine import needs_engine
from tests.user_cells import masked


@cell
def mask_values(x, h, once, /, W):
    """The masks themselves, as states."""
    return zoneout(1.0, 0.0, "step") + 0.0 * (W @ x), dropout(1.0, "once")


# Of Random123 (kat_vectors, philox4x32 with 10 rounds): counter, key, result.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_the_generator_is_philox(counter: str, key: str, result: str):
    low, high = (int(word, 16) for word in key.split())
    seed = torch.frombuffer(bytearray((low | high << 32).to_bytes(8, "little")), dtype=torch.int64)[0]
    c0, c1, c2, c3 = (torch.tensor(int(word, 16)) for word in counter.split())
    assert " ".join(f"{int(word):08x}" for word in philox((c0, c1, c2, c3), seed)) == result


@needs_engine
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("hidden", [1, 15, 17, 64, 70, 200])
def test_both_backends_draw_the_same_bits(hidden: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    call = call_of(mask_values, "bidirectional", steps=5, batch=7, hidden_size=hidden, lengths=[5, 0, 3, 4, 1, 5, 2])
    call = call.with_tensors(tuple(one.detach().to(dtype) for one in call.tensors))
    expected = flat(run(call, backend="reference"))
    monkeypatch.setattr(execution, "SHARE_SMALL", 1)
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            with full_of_nan():
                actual = flat(run(call, backend="cpu"))
            for one, other in zip(actual, expected, strict=True):
                assert torch.equal(one, other)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("backend", [pytest.param("cpu", marks=needs_engine), "reference"])
def test_masks_depend_on_seed_stream_row_and_step_alone(backend: str):
    call = call_of(mask_values, steps=4, batch=3, hidden_size=300, requires_grad=False)
    assert call.masks is not None
    output, (_, once) = run(call, backend=backend)
    assert set(output.unique().tolist()) == {0.0, 1.0}
    assert set(once.unique().tolist()) == {0.0, 1 / (1 - 0.4)}
    for values in (*output.unbind(), once[0]):
        assert (values == 0).double().mean() == pytest.approx(0.4, abs=0.08)
    rows = {tuple(row.tolist()) for step in output for row in step}
    assert len(rows) == 12
    later, (_, once_later) = run(replace(call.window(2, 4, call.initial)), backend=backend)
    assert torch.equal(later, output[2:])
    assert torch.equal(once_later, once)
    first = replace(
        call,
        x=call.x[:, :1],
        initial=tuple(state[:, :1] for state in call.initial),
        lengths=torch.tensor([3]),
        reset=torch.ones(4, 1, dtype=torch.bool),
    )
    alone, (_, once_alone) = run(first, backend=backend)
    assert torch.equal(alone[:3, 0], output[:3, 0])
    assert torch.equal(once_alone[:, 0], once[:, 0])  # a reset does not draw it again
    for changed in (replace(call.masks, stream=7), replace(call.masks, seed=call.masks.seed + 1)):
        other, (_, once_other) = run(replace(call, masks=changed), backend=backend)
        assert (other != output).double().mean() > 0.3
        assert (once_other != once).double().mean() > 0.3


@pytest.mark.parametrize("p", [0.0, 1.0])
@pytest.mark.parametrize("backend", [pytest.param("cpu", marks=needs_engine), "reference"])
def test_all_or_nothing(backend: str, p: float):
    call = call_of(mask_values, hidden_size=70, requires_grad=False)
    assert call.masks is not None
    rates = rates_of(mask_values.masks, {"step": p, "once": p}, training=True)
    output, (_, once) = run(replace(call, masks=replace(call.masks, rates=rates)), backend=backend)
    assert (output == 1 - p).all()
    assert (once == 1 - p).all()


def test_rates_in_training_and_evaluation():
    probabilities = {"step": 0.25, "once": 0.5}
    assert rates_of(mask_values.masks, probabilities, training=True) == (2.0**30, 1.0, 2.0**31, 2.0)
    assert rates_of(mask_values.masks, probabilities, training=False) == (0.0, 0.75, 0.0, 1.0)


@needs_engine
@combinations(
    {
        "directions": DIRECTIONS,
        "lengths": [None, [7, 0, 3, 5, 6]],
        "reset": [False, True],
        "checkpoint_every": [None, 3],
    }
)
def test_gradients_agree(directions: Directions, lengths: list[int] | None, reset: bool, checkpoint_every: int | None):
    call = call_of(masked, directions, steps=7, batch=5, hidden_size=20, lengths=lengths, reset=reset)
    call.checkpoint_every = checkpoint_every
    expected, actual = flat(on_reference(call)), flat(on_engine(call))
    upstream = upstream_of(expected)
    expected += torch.autograd.grad(expected, call.tensors, upstream)
    actual += torch.autograd.grad(actual, call.tensors, upstream)
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("run_on", [pytest.param(on_engine, marks=needs_engine), on_reference])
def test_derivatives_are_slopes(run_on: object):
    call = call_of(masked, "bidirectional", steps=2, batch=2, lengths=[2, 1], reset=True)

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        return flat(run_on(call.with_tensors(tensors)))  # type: ignore[operator]

    assert torch.autograd.gradcheck(function, call.tensors)
    assert torch.autograd.gradgradcheck(function, call.tensors)


def test_without_masks_everything_is_kept():
    call = replace(call_of(mask_values, requires_grad=False), masks=None)
    for backend in ("auto", "reference"):
        for one in flat(run(call, backend=backend)):
            assert (one == 1).all()


def test_a_mask_is_not_drawn_in_evaluation():
    call = call_of(mask_values, requires_grad=False)
    rates = rates_of(mask_values.masks, {"step": 0.25, "once": 0.5}, training=False)
    for backend in ("auto", "reference"):
        output, (_, once) = run(replace(call, masks=Masks(None, rates)), backend=backend)
        assert (output == 0.75).all()
        assert (once == 1).all()
