"""A stack without gradients is one call of the engine, and gives the bits of its layers one by one."""

from contextlib import ExitStack
from typing import Any

import pytest
import torch

import gatewise
from gatewise.kernels.cpu import execution
from gatewise.layers import running
from tests.agreement import CELLS, possible
from tests.combinations import combinations
from tests.kernels.engine import needs_engine
from tests.layers.oracle import call, check_call

pytestmark = needs_engine


@combinations(
    {
        "cell": CELLS,
        "shape": [(7, 3), (1, 1), (40, 1), (2, 17)],
        "layers,both": [(2, False), (3, True), (4, True), (2, True)],
        "ragged": [False, True],
        "initial": [False, True],
        "held": [False, True],
        "chunk": [1, 1 << 30],
    }
)
@torch.no_grad()
def test_the_same_bits_as_layer_by_layer(
    cell: str,
    shape: tuple[int, int],
    layers: int,
    both: bool,
    ragged: bool,
    initial: bool,
    held: bool,
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
):
    """In many parts or at once, and frozen."""
    monkeypatch.setattr(execution, "CHUNK", chunk)
    torch.manual_seed(layers)
    layer = gatewise.Recurrent(CELLS[cell], 5, 9, layers, bidirectional=both, init="torch")
    x, options = torch.randn(*shape, 5), dict[str, Any]()
    if ragged:
        options = {"lengths": torch.randint(0, shape[0] + 1, shape[1:]), "reset": torch.rand(shape) < 0.2}
    states = [torch.randn(layers * (1 + both), shape[1], 9) for _ in layer.cell.states]
    hx = list(possible(layer.cell, states)) if initial else []
    with ExitStack() as stack:
        if held:
            stack.enter_context(layer.frozen())
            call(layer, x, hx, **options)
        actual = check_call(layer, x, hx, **options)
        stack.enter_context(monkeypatch.context()).setattr(running, "plain_stack", lambda *_: None)
        expected = call(layer, x, hx, **options)
    assert all(torch.equal(actual[name], value) for name, value in expected.items())


def test_what_stands_between_layers_takes_them_apart(monkeypatch: pytest.MonkeyPatch):
    ran: list[int] = []
    original = running.run_on_cpu

    def counted(one: Any) -> Any:
        ran.append(one.layers)
        return original(one)

    monkeypatch.setattr(running, "run_on_cpu", counted)
    x = torch.randn(6, 2, 5)

    def layers_of(gradients: bool = False, watched: bool = False, **options: Any) -> list[int]:
        layer = gatewise.LSTM(5, 7, 3, **options)
        ran.clear()
        with ExitStack() as stack:
            stack.enter_context(torch.set_grad_enabled(gradients))
            if watched:
                stack.enter_context(gatewise.watch(layer))
            layer(x)
            if "dropout" in options:
                layer.eval()
                layer(x)
        return list(ran)

    assert layers_of() == [3]
    assert layers_of(bidirectional=True) == [3]
    assert layers_of(bidirectional=True, merge=None) == [3]
    assert layers_of(bidirectional=True, merge="sum") == [1, 1, 1]
    assert layers_of(dropout=0.5) == [1, 1, 1, 3]
    assert layers_of(watched=True) == [1, 1, 1]
    assert layers_of(gradients=True) == [1, 1, 1]
