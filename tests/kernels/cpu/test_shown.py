"""What watchers are told of the loop back through time: norms, and the gradients themselves for who wants them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.kernels import Call, Choice, cpu
from gatewise.kernels.cpu import repeated, split
from gatewise.kernels.recording import Record
from tests.kernels.calls import call_of, flat, upstream_of
from tests.kernels.engine import needs_engine

pytestmark = needs_engine


class Heard:
    """A sink that keeps what it is told, by direction: norms (T·B, S), zero where nothing was told; gradients too."""

    def __init__(self, wants_values: bool) -> None:
        self.wants_values = wants_values
        self.norms: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}

    def begin(self, call: Call, choice: Choice) -> None:
        pass

    def end(self, output: Tensor) -> None:
        pass

    def states(self, direction: int, state: int, first: int, values: Tensor, index: Tensor | None) -> None:
        pass

    def gradients(
        self, direction: int, state: int | None, first: int, norms: Tensor, values: Tensor | None, index: Tensor | None
    ) -> None:
        assert state is None
        assert first == 0
        assert (values is not None) == self.wants_values
        order = torch.arange(len(norms)) if index is None else index
        self.norms[direction] = torch.zeros(200, norms.shape[1], dtype=torch.float64)
        self.norms[direction][order] = norms.double()
        if values is not None:
            self.values[direction] = torch.zeros(200, *values.shape[1:], dtype=torch.float64)
            self.values[direction][order] = values.double()


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where there are processors enough: more threads than there are do no harm."""
    monkeypatch.setattr(split, "_affinity", lambda: 2)
    monkeypatch.setattr(split, "_quota", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def heard(wants_values: bool, **shape: Any) -> Heard:
    sink = Heard(wants_values)
    call = replace(call_of("lstm", **shape), record=Record((sink,)))
    results = flat(cpu.run(call))
    torch.autograd.grad(results, call.tensors, upstream_of(results), materialize_grads=True)
    return sink


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("directions", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "shape",
    [
        {"steps": 12, "batch": 16, "hidden_size": 40},
        {"steps": 12, "batch": 16, "hidden_size": 40, "lengths": [12, 1, 0, 7] * 4, "reset": True},
        {"steps": 6, "batch": 2, "hidden_size": 300},
        {"steps": 6, "batch": 3, "hidden_size": 300, "lengths": [2, 6, 0], "reset": True},
        {"steps": 1, "batch": 1, "hidden_size": 1},
    ],
    ids=["rows", "rows, ragged", "units", "units, ragged", "one"],
)
def test_norms_are_those_of_the_gradients(directions: Any, dtype: torch.dtype, shape: dict[str, Any]):
    shape = {**shape, "directions": directions, "dtype": dtype}
    alone, whole = heard(False, **shape), heard(True, **shape)
    assert list(alone.norms) == list(whole.values) == ([0, 1] if directions == "bidirectional" else [0])
    for direction, values in whole.values.items():
        expected = torch.linalg.vector_norm(values, dim=-1)
        assert (expected > 0).any()
        rtol = 1e-6 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(alone.norms[direction], expected, rtol=rtol, atol=0)
        torch.testing.assert_close(whole.norms[direction], expected, rtol=rtol, atol=0)


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float32, 1e-25), (torch.float64, 1e-200), (torch.float64, 1e200)])
def test_no_square_leaves_the_range_of_the_numbers(dtype: torch.dtype, scale: float):
    layer = gatewise.RNN(3, 4, dtype=dtype)
    flows: list[Tensor] = []
    for factor in (1.0, scale):
        x = torch.randn(5, 2, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
        with gatewise.watch(layer) as trace:
            (layer(x)[0] * factor).sum().backward()
        flows.append(trace.gradient_flow()["h"].double())
    torch.testing.assert_close(flows[1], flows[0] * scale, rtol=1e-5, atol=0)


def test_passes_that_are_played_are_told_apart():
    repeated._known.clear()
    layer = gatewise.LSTM(3, 5)
    inputs = torch.randn(8, 6, 2, 3)
    with gatewise.watch(layer, keep=8) as together:
        for x in inputs:
            layer(x)[0].square().sum().backward()
    for at, x in enumerate(inputs):
        with gatewise.watch(layer, gates=True) as alone:
            layer(x)[0].square().sum().backward()
        for state in ("h", "c"):
            torch.testing.assert_close(together.gradient_flow(at)[state], alone.gradient_flow()[state])
        assert alone.contributions()["weight_ih_l0"].shape == (6,)
