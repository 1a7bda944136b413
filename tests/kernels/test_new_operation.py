"""An operation that is in the table and nowhere else works everywhere: it is added here, and taken away again."""

import math
import re
from dataclasses import replace

import pytest
import torch

import gatewise
from benchmarks.eager_codegen import generate
from csrc.tests.build import compiler
from gatewise.compiler import simplify
from gatewise.diagnostics.replay import gates_of
from gatewise.diagnostics.saturation import saturation_of
from gatewise.equations import Cell, DefinitionError, Expr, absolute, cell
from gatewise.equations.expression import constant, elementwise
from gatewise.equations.mathematics import Equation, equations
from gatewise.equations.operations import OPERATIONS
from gatewise.equations.operations.operation import MissingImplementation, Notation, Operation, Range
from gatewise.kernels import backend_for, reference, run
from gatewise.kernels.cpu import library, program
from tests.kernels.calls import call_of, flat

SOFTSIGN = Operation(
    "softsign",
    1,
    lambda a: a / (1 + abs(a)),
    lambda gradient, value, a: (gradient * ((1 - absolute(value)) * (1 - absolute(value))),),
    Notation("softsign", r"\operatorname{softsign}"),
    cpp="{0} / ((T)1 + gatewise::absolute<T>({0}))",
    torch="torch.nn.functional.softsign",
    range=Range(-1, 1),
    unsaturated=lambda part: Range(math.sqrt(part) - 1, 1 - math.sqrt(part)),
)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_found", {})
    monkeypatch.setitem(OPERATIONS, "softsign", SOFTSIGN)
    reference._program.cache_clear()


def without(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setitem(OPERATIONS, "softsign", replace(SOFTSIGN, **{target: None}))


def own() -> Cell:
    @cell
    def softsigned(x, h, /, W, R, b):
        g = elementwise("softsign", W.g @ x + R.g @ h + b.g)
        n = elementwise("softsign", W.n @ x + R.n @ (g * h) + b.n)
        return h + g * (n - h)

    return softsigned


def test_the_reference_and_its_gradient():
    call = call_of(own(), lengths=[4, 2, 0])
    backend = "reference"
    output, _ = run(call, backend=backend)

    def meant(x: torch.Tensor) -> torch.Tensor:
        return x / (1 + x.abs())

    W, R, b = (dict(zip("gn", tensor.chunk(2), strict=True)) for tensor in call.parameters)
    h = call.initial[0][0]
    for t in range(4):
        g = meant(call.x[t] @ W["g"].t() + h @ R["g"].t() + b["g"])
        n = meant(call.x[t] @ W["n"].t() + (g * h) @ R["n"].t() + b["n"])
        h = h + g * (n - h)
        torch.testing.assert_close(output[t, 0], h[0])  # the row that runs to the end

    def of_tensors(x, initial, *parameters):
        return flat(run(replace(call, x=x, initial=(initial,), parameters=parameters), backend=backend))

    inputs = (call.x, *call.initial, *call.parameters)
    assert torch.autograd.gradcheck(of_tensors, inputs)
    assert torch.autograd.gradgradcheck(of_tensors, inputs)


@pytest.mark.skipif(
    library.why_missing() is not None or compiler() is None, reason="no compiled engine, or no C++ compiler here"
)
def test_the_engine_and_its_gradient(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path))
    call = call_of(own(), lengths=[4, 2, 0], hidden_size=5)
    assert backend_for(call).name == "cpu"
    results = [flat(run(call, backend=backend)) for backend in ("cpu", "reference")]
    torch.testing.assert_close(*results)
    weights = [torch.linspace(-1, 1, value.numel(), dtype=value.dtype).view_as(value) for value in results[0]]
    gradients = [
        torch.autograd.grad(
            [(value * weight).sum() for value, weight in zip(values, weights, strict=True)], call.tensors
        )
        for values in results
    ]
    torch.testing.assert_close(*gradients)


def test_without_a_cpp_implementation_the_reference_runs_and_the_reason_is_given(monkeypatch):
    without(monkeypatch, "cpp")
    choice = backend_for(call_of(own()))
    assert choice.name == "reference"
    if library.why_missing() is None:
        reason = "cell softsigned could not be compiled: operation softsign has no C++ implementation"
        assert choice.reason.startswith(f"not cpu: {reason}; ")
        with pytest.raises(ValueError, match=re.escape(f"cannot run this call: {reason}")):
            gatewise.Recurrent(own(), 2, 3, backend="cpu")(torch.zeros(2, 2, 2))


def test_without_a_torch_implementation_the_reference_raises(monkeypatch):
    without(monkeypatch, "torch")
    reason = "operation softsign has no torch implementation"
    with pytest.raises(ValueError, match=reason):
        run(call_of(own()), backend="reference")
    monkeypatch.setitem(OPERATIONS, "softsign", replace(SOFTSIGN, cpp=None, torch=None))
    with pytest.raises(ValueError, match=f"no backend can run this call: .*; not reference: {reason}"):
        backend_for(call_of(own()))


def test_without_a_jax_implementation_it_raises():
    with pytest.raises(MissingImplementation, match="operation softsign has no JAX implementation"):
        OPERATIONS["softsign"].implementation("jax")


def test_printed_mathematics():
    assert equations(own())[0] == Equation("g_t", "softsign(W_xg x_t + W_hg h_{t−1} + b_g)")
    assert r"\operatorname{softsign}\left(W_{xg} x_{t}" in equations(own(), latex=True)[0].right
    page = gatewise.explain(own())
    assert "g_t    (−1, 1)" in page
    assert "g_t = softsign(a_g,t)" in page
    assert re.search(r"δa_g,t += δg_t ⊙ \(1 − \|g_t\|\)²", page)


def test_saturation():
    found = saturation_of(torch.tensor([-0.9, -0.5, 0.0, 0.7, 0.8])[:, None, None], "softsign")
    assert (found.low, found.high) == (pytest.approx(1 / 5), pytest.approx(1 / 5))


def test_text_gates_folding_and_messages():
    assert Cell.from_text(own().text) == own()
    assert [gate.activation for gate in gates_of(own())] == ["softsign", "softsign"]
    half = Expr.make("softsign", constant(1))
    assert simplify([half]) == (half,)
    assert simplify([half], exact=False)[0] is constant(0.5)
    assert "torch.nn.functional.softsign(" in generate(own())
    with pytest.raises(DefinitionError, match="maximum, where, softsign"):

        @cell
        def wrong(x, h, /, W, R):
            return W @ x + R @ h + "h"
