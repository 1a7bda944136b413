"""Which steps losses reach, on a unit whose factor per step is known: it falls to 1 % in 7 steps."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import gatewise
from gatewise.diagnostics import Trace
from gatewise.diagnostics.reach import Reach, reach_of
from gatewise.layers import Recurrent

STEPS, WITHIN = 40, 7


def linear(**options: Any) -> Recurrent:
    """h_t = h_{t−1} / 2 + x_t, all of it positive."""
    layer = Recurrent("rnn_relu", 1, 1, bias=False, dtype=torch.float64, **options)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.fill_(0.5 if name.startswith("weight_hh") else 1.0)
    return layer


def ones(*shape: int) -> Tensor:
    return torch.ones(*shape, 1, dtype=torch.float64)


def reach(trace: Trace) -> Reach:
    layers = trace.layers(with_gradients=True)
    found = reach_of(layers[0], layers[-1])
    assert found is not None
    return found


def of(layer: Recurrent, loss: Callable[[Any, Any], Tensor], *arguments: Any, **options: Any) -> Reach:
    with gatewise.watch(layer) as trace:
        loss(*layer(*arguments, **options)).backward()
    return reach(trace)


LAST: dict[str, Callable[[], Reach]] = {
    "an output": lambda: of(linear(), lambda output, _: output[-1].sum(), ones(STEPS, 3)),
    "a final state": lambda: of(linear(), lambda _, state: state.sum(), ones(STEPS, 3)),
    "batch first": lambda: of(linear(batch_first=True), lambda output, _: output[:, -1].sum(), ones(3, STEPS)),
    "no batch": lambda: of(linear(), lambda output, _: output[-1].sum(), ones(STEPS)),
    "no batch, a final state": lambda: of(linear(), lambda _, state: state.sum(), ones(STEPS)),
    "two calls": lambda: in_two_calls(),
    "steps": lambda: in_steps(),
}


def in_two_calls() -> Reach:
    layer = linear()
    with gatewise.watch(layer) as trace:
        _, state = layer(ones(15, 3))
        layer(ones(STEPS - 15, 3), state)[0][-1].sum().backward()
    return reach(trace)


def in_steps() -> Reach:
    layer, state = linear(), None
    with gatewise.watch(layer) as trace:
        for x in ones(STEPS, 1, 3):
            output, state = layer(x, state)
        output.sum().backward()
    return reach(trace)


@pytest.mark.parametrize("name", LAST)
def test_a_loss_at_the_end(name: str):
    assert LAST[name]() == Reach((STEPS - WITHIN) / STEPS, True, 1, STEPS, WITHIN, STEPS - 1)


@pytest.mark.parametrize("packed", [False, True])
def test_ragged_rows(packed: bool):
    layer, lengths = linear(), torch.tensor([5, STEPS, 20, 0][: 3 if packed else 4])
    x = ones(STEPS, len(lengths))
    inputs = (pack_padded_sequence(x, lengths, enforce_sorted=False),) if packed else (x,)
    found = of(layer, lambda _, state: state.sum(), *inputs, **({} if packed else {"lengths": lengths}))
    lost = (STEPS - WITHIN) + (20 - WITHIN)
    assert found == Reach(pytest.approx(lost / 65), True, 1, pytest.approx(65 / 3), WITHIN, STEPS - 1)
    if packed:
        again = of(layer, lambda output, _: output.data.sum(), *inputs)
        assert (again.unreached, again.entries) == (0, pytest.approx(65 / 3))


def test_losses_at_every_step_reach_all_of_them():
    found = of(linear(), lambda output, _: output.sum(), ones(STEPS, 3))
    assert found == Reach(0, False, STEPS, STEPS, None, 0)


def test_losses_now_and_then():
    found = of(linear(), lambda output, _: output[9::10].sum(), ones(STEPS, 3))
    assert (found.unreached, found.at_ends, found.entries) == (pytest.approx(0.3), False, 4)
    assert (found.within, found.farthest) == (WITHIN, 9)


def test_steps_after_the_last_loss_are_ignored():
    found = of(linear(), lambda output, _: output[9].sum(), ones(STEPS, 3))
    assert (found.unreached, found.at_ends) == (pytest.approx(0.3), False)


def test_boundary_limits_the_reach_of_a_loss():
    reset = torch.zeros(STEPS, 3, dtype=torch.bool)
    reset[30] = True
    found = of(linear(), lambda output, _: output[-1].sum(), ones(STEPS, 3), reset=reset)
    assert (found.unreached, found.farthest) == (pytest.approx(0.3), 9)
    # The first window of a stream whose state was carried on without its history is no concern of the second.
    layer = linear()
    with gatewise.watch(layer) as trace:
        _, state = layer(ones(30, 3))
        layer(ones(10, 3), state.detach())[0][-1].sum().backward()
    assert reach(trace).farthest == 9


@pytest.mark.parametrize("merge", ["concat", "sum", None])
def test_each_direction_reaches_from_its_own_end(merge: str | None):
    layer = linear(bidirectional=True, merge=merge)
    found = of(layer, lambda _, state: state.sum(), ones(STEPS, 3))
    assert found == Reach((STEPS - 2 * WITHIN) / STEPS, True, 2, STEPS, WITHIN, 19)

    def at_the_end(output: Any, _: Tensor) -> Tensor:
        return (torch.cat(output, -1) if merge is None else output)[-1].sum()

    # Its reverse direction has read one step there.
    assert of(layer, at_the_end, ones(STEPS, 3)).unreached == pytest.approx(1 - WITHIN / STEPS)
    if merge != "sum":
        reverse = of(
            layer, lambda output, _: (output[1] if merge is None else output[..., 1:])[0].sum(), ones(STEPS, 3)
        )
        assert (reverse.unreached, reverse.farthest) == (pytest.approx(1 - WITHIN / STEPS), STEPS - 1)


def test_layers_reach_as_far_as_the_farthest():
    layer = linear(num_layers=2)
    alone = of(layer, lambda output, _: output[-1].sum(), ones(STEPS, 3))
    assert 0.5 < alone.unreached < 1 - WITHIN / STEPS  # two layers of the same factor reach a little further
    with torch.no_grad():
        layer.weight_hh_l0.fill_(1.0)
    assert of(layer, lambda output, _: output[-1].sum(), ones(STEPS, 3)).unreached == 0


def test_no_reference_to_a_call_is_kept():
    layer = linear()
    with gatewise.watch(layer):
        for inputs in (ones(5, 3), pack_padded_sequence(ones(5, 3), torch.tensor([5, 4, 3]))):
            output, _ = layer(inputs)
            kept = weakref.ref(output if isinstance(output, Tensor) else output.data)
            del output
            gc.collect()
            assert kept() is None


def test_module_whose_losses_bypass_its_outputs():
    """`Recurrent.step` returns nothing to a hook, so it is not known where losses enter."""
    layer, state = linear(), None
    with gatewise.watch(layer) as trace:
        for x in ones(5, 3):
            output, state = layer.step(x, state)
        output.sum().backward()
    layers = trace.layers(with_gradients=True)
    assert reach_of(layers[0], layers[-1]) is None
