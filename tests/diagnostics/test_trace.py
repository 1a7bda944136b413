"""What a trace shows of a layer, against autograd on the unrolled transcriptions."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.diagnostics import Trace
from gatewise.diagnostics.call_record import Location
from gatewise.diagnostics.labelled_tensors import Label
from tests.agreement import CELLS, Case, Way, arguments, given, layer_of, options
from tests.combinations import combinations
from tests.diagnostics.unrolled import Unrolled, unrolled

WAYS = [Way("cpu"), Way("cpu", 2), Way("reference"), Way("reference", 3)]
RAGGED = {"lengths": (5, 0, 3, 1), "reset": True}
SHAPES = {
    "one layer": {},
    "ragged, with resets": RAGGED,
    "both directions, ragged, with resets": {"bidirectional": True, **RAGGED},
    "a stack of both directions": {"bidirectional": True, "num_layers": 2, "merge": "learned", **RAGGED},
    "batch first": {"batch_first": True, "num_layers": 3},
    "no batch": {"batched": False, "batch": 1, "reset": True},
}


def watched(case: Case, path: Way, *, gates: bool = True) -> tuple[Trace, gatewise.Recurrent]:
    """The case run forward and backward while it is watched."""
    values, layer = given(case), copy.deepcopy(layer_of(case))
    layer.backend, layer.checkpoint_every = path.backend, path.checkpoint_every
    leaves = {"x": values.x.clone(), **{f"hx {index}": state.clone() for index, state in enumerate(values.initial)}}
    with gatewise.watch(layer, gates=gates) as trace:
        output, state = layer(*arguments(case, values, leaves), **options(case, values))
        finals = state if isinstance(state, tuple) else (state,)
        above = values.upstream
        if not case.batched:
            above = tuple(one.squeeze(1) for one in above)
        elif case.batch_first:
            above = (above[0].transpose(0, 1), *above[1:])
        torch.autograd.backward([output, *finals], above)
    return trace, layer


def labels(case: Case) -> Iterator[tuple[int, int, Location]]:
    for layer in range(case.num_layers):
        for direction in range(2 if case.bidirectional else 1):
            yield layer, direction, Location("", layer, "reverse" if direction else "forward")


def padding(case: Case) -> Tensor:
    """(T, B) bool."""
    lengths = torch.tensor([(case.lengths or (case.steps,))[b % len(case.lengths or (0,))] for b in range(case.batch)])
    return torch.arange(case.steps)[:, None] >= lengths


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)


@combinations({"cell": CELLS, "shape": SHAPES, "path": WAYS})
def test_matches_autograd(cell: str, shape: str, path: Way):
    case = Case(cell, **SHAPES[shape])
    expected = unrolled(case)
    trace, layer = watched(case, path)
    flow, states = trace.gradient_flow(), trace.states()
    for number, direction, location in labels(case):
        for state, name in enumerate(layer.cell.states):
            gradients = expected.gradients[number, direction, state]
            close(flow[Label(location, name)], gradients.flatten(1).norm(dim=1))
            close(flow.rows[Label(location, name)], gradients.norm(dim=2))
            values = expected.values[number, direction, state]
            close(states[Label(location, name)].nan_to_num(0.0), values)
            assert torch.equal(states[Label(location, name)].isnan().all(dim=2), padding(case))
    check_contributions(trace, layer, expected)


def check_contributions(trace: Trace, layer: gatewise.Recurrent, expected: Unrolled) -> None:
    shares, norms = trace.contributions(shares=True), trace.contributions()
    assert set(shares) == {name for name, _ in layer.named_parameters() if not name.startswith("merge")}
    for name, share in shares.items():
        close(share.sum(dim=0), expected.of_parameters[name])
        close(norms[name], share.flatten(1).norm(dim=1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_without_gates_only_the_norms_are_recorded(cell: str, shape: str):
    case = Case(cell, **SHAPES[shape])
    full, _ = watched(case, Way("cpu"))
    trace, _ = watched(case, Way("cpu"), gates=False)
    for key, norms in trace.gradient_flow().items():
        close(norms, full.gradient_flow()[key])
    (recorded,) = {type(call.state_values) for calls in trace.layers() for call in calls}
    assert recorded is type(None)
    for key, values in trace.gates().items():
        torch.testing.assert_close(values, full.gates()[key], rtol=1e-12, atol=1e-12, equal_nan=True)
    with pytest.raises(ValueError, match=r"contributions: requires the gradients of every step.*gates=True"):
        trace.contributions()
    with pytest.raises(ValueError, match=r"gates.*gradients: requires the gradients of every step.*gates=True"):
        _ = trace.gates().gradients


def test_gates_and_their_gradients_match_an_explicit_lstm():
    torch.manual_seed(0)
    layer = gatewise.LSTM(3, 4, dtype=torch.float64)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    with gatewise.watch(layer, gates=True) as trace:
        layer(x)[0].square().sum().backward()
    h = c = torch.zeros(2, 4, dtype=torch.float64)
    before: list[Tensor] = []
    values: list[Tensor] = []
    outputs: list[Tensor] = []
    w, r, b, d = layer.all_weights[0]
    for t in range(6):
        total = x[t] @ w.t() + h @ r.t() + b + d
        total.retain_grad()
        i, f, g, o = total.chunk(4, dim=1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        h = o * c.tanh()
        before.append(total)
        values.append(torch.stack([i, f, g, o]))
        outputs.append(h)
    torch.stack(outputs).square().sum().backward()
    gates = trace.gates()
    gradients = gates.gradients
    assert list(gates) == list(gradients) == ["i", "f", "g", "o"]
    assert gates.activations == {"i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid"}
    for index, name in enumerate("ifgo"):
        close(gates[name], torch.stack([value[index] for value in values]))
        close(gradients[name], torch.stack([one.grad.chunk(4, dim=1)[index] for one in before if one.grad is not None]))
