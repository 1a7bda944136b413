"""Truncated back-propagation, against the definition written out with a state per step."""

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

import gatewise
from tests.combinations import ALL

RATE = 0.1


class Model(nn.Module):
    """Two layers of different cells and a map, with a nest of states."""

    def __init__(self) -> None:
        super().__init__()
        self.below = gatewise.LSTM(2, 3, dtype=torch.float64)
        self.above = gatewise.GRU(3, 3, dtype=torch.float64)
        self.out = nn.Linear(3, 1, dtype=torch.float64)

    def forward(self, x: Tensor, state: Any = None, **flags: Tensor) -> tuple[Tensor, dict[str, Any]]:
        state = state or {"below": None, "above": None}
        hidden, below = self.below(x, state["below"], **flags)
        hidden, above = self.above(hidden, state["above"], **flags)
        return self.out(hidden)[..., 0], {"below": below, "above": above}


def model() -> Model:
    torch.manual_seed(0)
    return Model()


def data(steps: int, batch: int = 4) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return (
        torch.randn(steps, batch, 2, generator=draw, dtype=torch.float64),
        torch.randn(steps, batch, generator=draw, dtype=torch.float64),
    )


def updated(model: nn.Module, loss: Tensor) -> None:
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= RATE * gradient


def one_step(model: Model, x: Tensor, state: Any, valid: Tensor | None, reset: Tensor | None) -> tuple[Tensor, Any]:
    flags = {}
    if valid is not None:
        flags["lengths"] = valid.to(torch.int64)
    if reset is not None:
        flags["reset"] = reset[None]
    output, state = model(x[None], state, **flags)
    return output[0], state


def by_definition(
    k1: int, k2: int, x: Tensor, target: Tensor, lengths: Tensor | None = None, reset: Tensor | None = None
) -> list[Tensor]:
    """Every k1 steps, from the state that the run before left at the start, step by step over the last k2 steps."""
    network, steps = model(), x.shape[0]
    stored: dict[int, Any] = {0: None}
    losses_in_all = x.shape[1] * steps if lengths is None else int(lengths.sum())
    for update in range(0, steps, k1):
        start, end = max(0, update + k1 - k2), min(update + k1, steps)
        state, total = stored[start], torch.zeros((), dtype=torch.float64)
        for t in range(start, end):
            valid = None if lengths is None else t < lengths
            output, state = one_step(network, x[t], state, valid, None if reset is None else reset[t])
            stored[t + 1] = torch.utils._pytree.tree_map(torch.Tensor.detach, state)
            if t >= update:
                error = (output - target[t]).square()
                total = total + (error if valid is None else error[valid]).sum()
        updated(network, total * steps / (losses_in_all * min(k1, steps)))
    return [parameter.detach() for parameter in network.parameters()]


def trained(windows: Iterator[Any]) -> list[Tensor]:
    network = model()
    for window in windows:
        losses = (window.run(network) - window.target).square()
        updated(network, window.mean(losses))
    return [parameter.detach() for parameter in network.parameters()]


def close(actual: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


PAIRS = [(k1, k2) for k1 in (1, 2, 3, 5, 12, 13, 20) for k2 in (1, 2, 3, 4, 7, 12, 13, 20) if k1 <= k2]


@pytest.mark.parametrize(
    ("k1", "k2", "flags"),
    [
        (*pair, flags)
        for number, pair in enumerate(PAIRS)
        for index, flags in enumerate(("", "lengths", "reset", "lengths and reset"))
        if ALL or pair == (2, 7) or number % 4 == index
    ],
)
def test_it_is_the_definition(k1: int, k2: int, flags: str):
    x, target = data(13)
    lengths = torch.tensor([13, 4, 0, 9]) if "lengths" in flags else None
    reset = torch.rand(13, 4, generator=torch.Generator().manual_seed(2)) < 0.2 if "reset" in flags else None
    actual = trained(gatewise.TBPTT(k1, k2).windows(x, target, lengths=lengths, reset=reset))
    close(actual, by_definition(k1, k2, x, target, lengths, reset))


@pytest.mark.parametrize("portions", [[13], [1] * 13, [5, 1, 6, 1], [4, 9]])
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (2, 5), (3, 3), (4, 12), (13, 13)])
def test_a_stream_in_any_portions_is_the_same(k1: int, k2: int, portions: list[int]):
    x, target = data(13)
    reset = torch.rand(13, 4, generator=torch.Generator().manual_seed(2)) < 0.2
    whole = [one.split(portions) for one in (x, target, reset)]
    actual = trained(gatewise.TBPTT(k1, k2).stream(zip(*whole, strict=True), reset=True))
    close(actual, by_definition(k1, k2, x, target, reset=reset))


@pytest.mark.parametrize("lengths", [None, [13, 4, 0, 9]])
def test_one_window_of_everything_is_the_whole_gradient(lengths: list[int] | None):
    x, target = data(13)
    of_rows = None if lengths is None else torch.tensor(lengths)
    (window,) = gatewise.TBPTT(13, 13).windows(x, target, lengths=of_rows)
    network, whole = model(), model()
    window.mean((window.run(network) - window.target).square()).backward()
    output, _ = whole(x) if of_rows is None else whole(x, None, lengths=of_rows)
    errors = (output - target).square()
    (errors if of_rows is None else errors[torch.arange(13)[:, None] < of_rows]).mean().backward()
    for a, b in zip(network.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-12)
    assert window.weight == 1


def test_every_loss_counts_once_with_equal_weight():
    x, target = data(13)
    lengths = torch.tensor([13, 4, 0, 9])
    seen: list[tuple[int, int]] = []
    weights = 0.0
    network = model()
    for window in gatewise.TBPTT(3, 7).windows(x, target, lengths=lengths):
        window.run(network)
        seen += [(window.fresh + t, b) for t, b in window.valid.nonzero().tolist()]
        weights += window.weight
        assert window.end - window.begin <= 7
    assert sorted(seen) == [(t, b) for t in range(13) for b in range(4) if t < lengths[b]]
    assert weights == pytest.approx(13 / 3)


def most_saved(run: Callable[[], object]) -> int:
    """The most bytes of values that graphs hold at once."""
    held = most = 0

    class Saved:
        def __init__(self, value: Tensor) -> None:
            nonlocal held, most
            self.value = value
            held += value.nbytes
            most = max(most, held)

        def __del__(self) -> None:
            nonlocal held
            held -= self.value.nbytes

    with saved_tensors_hooks(Saved, lambda kept: kept.value):
        run()
    return most


def test_memory_is_bound_by_k2_alone():
    def run(k1: int, k2: int, steps: int) -> int:
        def chunks() -> Iterator[tuple[Tensor, Tensor]]:
            for _ in range(steps // 10):
                yield data(10)

        return most_saved(lambda: trained(gatewise.TBPTT(k1, k2).stream(chunks())))

    assert run(10, 20, 1000) == run(10, 20, 100)
    assert run(10, 40, 400) < 2.5 * run(10, 20, 400)


def test_a_stream_holds_k2_steps_and_a_chunk():
    alive: list[Any] = []

    def chunks() -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(50):
            chunk = data(10)
            alive.append(weakref.ref(chunk[0]))
            yield chunk

    network = model()
    for window in gatewise.TBPTT(5, 15).stream(chunks()):
        window.run(network)
        assert sum(one() is not None for one in alive) <= 4


def test_a_window_can_be_run_again_but_not_before_its_turn():
    x, target = data(12)
    first, second = list(gatewise.TBPTT(4, 8).windows(x, target))[:2]
    network = model()
    with pytest.raises(ValueError, match=r"window: expected to be run after the previous window"):
        list(gatewise.TBPTT(4, 4).windows(x, target))[1].run(network)
    first.run(network)
    again = second.run(network)
    assert torch.equal(second.run(network), again)


def test_lengths_may_be_a_list():
    x = torch.arange(10.0).reshape(5, 2, 1)
    lists, tensors = (
        [window.valid.tolist() for window in gatewise.TBPTT(2, 2).windows(x, lengths=lengths)]
        for lengths in ([5, 2], torch.tensor([5, 2]))
    )
    assert lists == tensors
    with pytest.raises(ValueError, match=r"lengths: expected values between 0 and T=5, .*, got 6; pass the"):
        gatewise.TBPTT(2, 2).windows(x, lengths=[6, 2])


def test_initial_states_are_detached():
    layer = gatewise.GRU(2, 3, dtype=torch.float64)
    x, _ = data(4)
    start = torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True)
    for window in gatewise.TBPTT(2, 4).windows(x, state=start):
        window.run(layer).sum().backward()
    assert start.grad is None


BAD = {
    "k1 of 0": (lambda: gatewise.TBPTT(0, 1), ValueError, "k1: expected at least 1 step, got 0"),
    "k1 no number": (lambda: gatewise.TBPTT(1.5, 2), TypeError, "k1: expected a number of steps, got 1.5"),
    "k2 too short": (lambda: gatewise.TBPTT(3, 2), ValueError, "k2: expected at least k1=3 steps, got 2"),
    "nothing": (lambda: gatewise.TBPTT(1, 1).windows(), ValueError, "windows: expected the input as a tensor"),
    "no steps": (lambda: gatewise.TBPTT(1, 1).windows(torch.zeros(0, 2, 1)), ValueError, "at least one step, got T=0"),
    "other steps": (
        lambda: gatewise.TBPTT(1, 1).windows(torch.zeros(5, 2, 1), torch.zeros(4, 2)),
        ValueError,
        r"tensor 1: expected \(T, B, …\), the first two as the input's \(5, 2\), got \(4, 2\); time is the first",
    ),
    "lengths": (
        lambda: gatewise.TBPTT(1, 1).windows(torch.zeros(5, 2, 1), lengths=torch.tensor([1, 2, 3])),
        ValueError,
        r"lengths: expected shape \(B=2,\), got \(3,\); pass one length per row",
    ),
    "lengths of a list": (
        lambda: gatewise.TBPTT(1, 1).windows(torch.zeros(5, 2, 1), lengths=[1.5, 2]),
        TypeError,
        "lengths: expected integers, got torch.float32; pass the number of steps of each row",
    ),
    "no tensor": (
        lambda: gatewise.TBPTT(1, 1).windows(gatewise.LSTM(2, 3), torch.zeros(5, 2, 1)),
        TypeError,
        r"tensor 0: expected a tensor \(T, B, …\), got LSTM",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_inconsistent_arguments_raise(case: str):
    make, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        make()


def test_a_layer_that_reads_backward_raises():
    (window,) = gatewise.TBPTT(4, 4).windows(torch.zeros(4, 2, 3))
    with pytest.raises(ValueError, match="TBPTT: expected layers that read forward, got the bidirectional layer"):
        window.run(gatewise.BiLSTM(3, 4))
