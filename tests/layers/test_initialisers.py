"""What each scheme of initial weights promises."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.cells import lookup, names
from gatewise.equations import cell, sigmoid, tanh
from gatewise.layers.initialisers import SCHEMES

INPUT, HIDDEN, PROJECTED = 24, 16, 12


def layer_of(cell: str, init: str | gatewise.Init, **options: object) -> gatewise.Recurrent:
    torch.manual_seed(1)
    if isinstance(cell, str) and lookup(cell).projected:
        options["proj_size"] = PROJECTED
    return gatewise.Recurrent(cell, INPUT, HIDDEN, init=init, **options)


def blocks(tensor: Tensor) -> tuple[Tensor, ...]:
    """A stacked tensor by gates."""
    return tensor.detach().split(HIDDEN)


def is_orthogonal(block: Tensor) -> bool:
    rows, columns = block.shape
    product = block @ block.t() if rows <= columns else block.t() @ block
    return torch.allclose(product, torch.eye(min(rows, columns), dtype=block.dtype), atol=1e-5)


def is_uniform(tensor: Tensor, bound: float) -> bool:
    """Inside ±bound, near both ends, and of a uniform distribution's spread."""
    spread = abs(tensor.std().item() / (bound / math.sqrt(3)) - 1) < 0.25
    return bool(tensor.abs().max() <= bound and tensor.max() > 0.8 * bound and tensor.min() < -0.8 * bound and spread)


def xavier(block: Tensor) -> bool:
    return is_uniform(block, math.sqrt(6 / sum(block.shape)))


def he(block: Tensor) -> bool:
    return is_uniform(block, math.sqrt(6 / block.shape[1]))


def small(block: Tensor) -> bool:
    return 0.0005 < block.std() < 0.002


def identity(block: Tensor) -> bool:
    return torch.equal(block, torch.eye(*block.shape))


PROMISES = {
    "default": (xavier, is_orthogonal),
    "xavier": (xavier, xavier),
    "he": (he, he),
    "orthogonal": (is_orthogonal, is_orthogonal),
    "identity": (small, identity),
}


def test_every_scheme_is_tested():
    assert set(PROMISES) | {"torch"} == set(SCHEMES)


@pytest.mark.parametrize("cell", names())
@pytest.mark.parametrize("init", PROMISES)
def test_matrices_gate_by_gate(init: str, cell: str):
    layer = layer_of(cell, init, bidirectional=True)
    of_input, of_state = PROMISES[init]
    for suffix in ("_l0", "_l0_reverse"):
        inputs, states = (blocks(getattr(layer, stem + suffix)) for stem in ("weight_ih", "weight_hh"))
        assert all(of_input(block) for block in inputs)
        assert all(of_state(block) for block in states)
        if hasattr(layer, "P" + suffix):
            assert all(of_state(block) for block in blocks(getattr(layer, "P" + suffix)))
        if hasattr(layer, "weight_hr" + suffix):
            assert of_state(getattr(layer, "weight_hr" + suffix).detach())
        for group in (inputs, states) if init != "identity" else (inputs,):
            assert not any(torch.equal(a, b) for a, b in pairwise(group))


@pytest.mark.parametrize("cell", names())
@pytest.mark.parametrize("init", PROMISES)
def test_biases_are_zero_but_for_the_forget_gate_of_the_default(init: str, cell: str):
    layer = layer_of(cell, init, num_layers=2)
    gates = layer.cell.gates_of("b") if "b" in layer.cell.groups else ()
    declared = {block.gate: value for block, value in layer.cell.initial if block.group == "b"}
    for position in (0, 1):
        for gate, block in zip(gates, blocks(getattr(layer, f"bias_ih_l{position}")) if gates else (), strict=True):
            usual = 1.0 if init == "default" and gate == "f" and "lstm" in cell else 0.0
            assert (block == declared.get(gate, usual)).all()
        if "d" in layer.cell.groups:
            assert (getattr(layer, f"bias_hh_l{position}") == 0).all()
    if "lstm" in cell and gates:
        assert "f" in gates


@cell
def minimal_gated_unit(x, h, /, W, R, b):
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    return (1 - f) * h + f * tanh(W.n @ x + R.n @ (f * h) + b.n)


@cell
def renamed_lstm(x, h, c, /, W, R, b):
    keep = sigmoid(W.keep @ x + R.keep @ h + b.keep)
    c = keep * c + sigmoid(W.new @ x + R.new @ h + b.new) * tanh(W.f @ x + R.f @ h + b.f)
    return tanh(c), c


def test_a_forget_gate_is_one_that_keeps_whatever_its_name():
    """A bias of 1 on a gate named f that replaces the state would make it forget sooner."""
    assert gatewise.Recurrent(minimal_gated_unit, INPUT, HIDDEN).bias_ih_l0.abs().sum() == 0
    of = dict(
        zip(("keep", "new", "f"), blocks(gatewise.Recurrent(renamed_lstm, INPUT, HIDDEN).bias_ih_l0), strict=True)
    )
    assert {name: float(block.sum()) for name, block in of.items()} == {"keep": HIDDEN, "new": 0, "f": 0}


def biases(layer: gatewise.Recurrent, gate: str, suffix: str = "_l0") -> Tensor:
    """All biases of a gate together."""
    found = torch.zeros(HIDDEN)
    for group, stem in (("b", "bias_ih"), ("d", "bias_hh")):
        if group in layer.cell.groups:
            found += blocks(getattr(layer, stem + suffix))[layer.cell.gates_of(group).index(gate)].float()
    return found


KEEPING = {"lstm": ("f", 1), "peephole_lstm": ("f", 1), "gru_cudnn": ("z", 1), "gru_chung2014": ("z", -1)}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("cell", KEEPING)
def test_a_forget_bias_with_every_scheme(cell: str, scheme: str):
    gate, sign = KEEPING[cell]
    plain = layer_of(cell, scheme, num_layers=2, bidirectional=True)
    layer = layer_of(cell, gatewise.Init(scheme, forget_bias=3.5), num_layers=2, bidirectional=True)
    for suffix in ("_l0", "_l0_reverse", "_l1", "_l1_reverse"):
        assert (biases(layer, gate, suffix) == sign * 3.5).all()
        for other in layer.cell.gates_of("b"):
            if other != gate:
                assert torch.equal(biases(layer, str(other), suffix), biases(plain, str(other), suffix))
    assert torch.equal(layer.weight_hh_l1, plain.weight_hh_l1)


@pytest.mark.parametrize(
    ("cell", "group", "opposite"),
    [("slstm", "b", None), ("gru_layer_norm", "shift_h", None), ("lstm_layer_norm_per_gate", "shift", "i")],
)
def test_chrono_of_logarithmic_and_normalised_gates(cell: str, group: str, opposite: str | None):
    torch.manual_seed(1)
    layer = gatewise.Recurrent(cell, 3, 500, init=gatewise.Init(chrono=101))
    tensor = layer.bias_ih_l0 if group == "b" else getattr(layer, f"{group}_l0")
    found = dict(zip(layer.cell.gates_of(group), tensor.detach().split(500), strict=True))
    span = (-found["z"] if cell == "gru_layer_norm" else found["f"]).exp()
    assert 1 <= span.min() < 2
    assert 95 < span.max() <= 100
    assert opposite is None or torch.equal(found[opposite], -found["f"])
    assert sum(bool(block.any()) for block in found.values()) == (2 if opposite else 1)


@pytest.mark.parametrize("cell", KEEPING)
def test_chrono_covers_all_spans(cell: str):
    """Tallec & Ollivier 2018, equations 15 and 16: log U[1, T_max − 1], and the opposite for an input gate."""
    gate, sign = KEEPING[cell]
    torch.manual_seed(1)
    layer = gatewise.Recurrent(cell, 3, 2000, init=gatewise.Init("torch", chrono=101))
    group = torch.zeros(2000)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        if hasattr(layer, name):
            group += getattr(layer, name).detach().split(2000)[layer.cell.gates_of("b").index(gate)]
    spans = (sign * group).exp()
    assert 1 <= spans.min() < 2
    assert 98 < spans.max() <= 100
    assert spans.mean() == pytest.approx(50.5, rel=0.05)
    if gate == "f":
        inputs = sum(
            getattr(layer, name).detach().split(2000)[layer.cell.gates_of("b").index("i")]
            for name in ("bias_ih_l0", "bias_hh_l0")
            if hasattr(layer, name)
        )
        assert torch.equal(inputs, -group)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "chrono"}, r"init: expected one of .*, got 'chrono'; it needs the longest span"),
        ({"forget_bias": 1.0, "chrono": 5}, "forget_bias and chrono exclude each other"),
        ({"forget_bias": float("nan")}, "forget_bias: expected a finite number, got nan"),
        ({"forget_bias": "1"}, "forget_bias: expected a number, got '1'"),
        ({"chrono": 1}, "chrono: expected at least 2 steps, got 1"),
        ({"chrono": 2.5}, "chrono: expected a number of steps, got 2.5"),
    ],
)
def test_what_an_init_cannot_be(options: dict, message: str):
    with pytest.raises((ValueError, TypeError), match=message):
        gatewise.Init(**options)


def test_biases_that_a_layer_does_not_have():
    with pytest.raises(ValueError, match="forget_bias: the cell rnn_tanh has no gate"):
        gatewise.RNN(3, 4, init=gatewise.Init(forget_bias=1.0))
    with pytest.raises(ValueError, match=r"chrono: the cell lstm has no bias b\.f to set"):
        gatewise.LSTM(3, 4, bias=False, init=gatewise.Init(chrono=10))
    with pytest.raises(TypeError, match=r"init: expected the name of a scheme or a gatewise\.Init, got int"):
        gatewise.LSTM(3, 4, init=3)
    assert "init=Init(scheme='default', forget_bias=2.0, chrono=None)" in repr(
        gatewise.LSTM(3, 4, init=gatewise.Init(forget_bias=2.0))
    )


@pytest.mark.parametrize("init", SCHEMES)
def test_peepholes_are_uniform_in_every_scheme(init: str):
    assert is_uniform(layer_of("peephole_lstm", init).p_l0.detach(), 1 / math.sqrt(HIDDEN))


@pytest.mark.parametrize("cell", names())
def test_torchs_scheme_is_uniform_by_the_width(cell: str):
    layer = layer_of(cell, "torch", num_layers=2)
    declared = tuple(f"{block.group}_l" for block, _ in layer.cell.initial if block.group not in ("b", "d"))
    for name, parameter in layer.named_parameters():
        if name.startswith(declared):
            continue
        bound = 1 / math.sqrt(HIDDEN)
        assert parameter.abs().max() <= bound, name
        assert parameter.max() > 0.4 * bound, name
        assert parameter.min() < -0.4 * bound, name


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("init", SCHEMES)
def test_every_precision(init: str, dtype: torch.dtype):
    layer = layer_of("lstm", init, dtype=dtype)
    assert all(parameter.dtype == dtype and parameter.isfinite().all() for parameter in layer.parameters())
    assert layer.weight_hh_l0.abs().sum() > 0
    if init in ("default", "orthogonal"):
        product = blocks(layer.weight_hh_l0.double())[0]
        torch.testing.assert_close(product @ product.t(), torch.eye(HIDDEN, dtype=torch.float64), atol=0.02, rtol=0)
    if init == "default":
        assert (blocks(layer.bias_ih_l0)[1] == 1).all()


def test_the_same_seed_gives_the_same_weights_and_another_others():
    first, again = layer_of("lstm", "default"), layer_of("lstm", "default")
    other = gatewise.Recurrent("lstm", INPUT, HIDDEN)
    assert torch.equal(first.weight_hh_l0, again.weight_hh_l0)
    assert not torch.equal(first.weight_hh_l0, other.weight_hh_l0)


def test_reset_parameters_draws_again_by_the_scheme():
    layer = layer_of("lstm", "default")
    before = layer.weight_hh_l0.detach().clone()
    with torch.no_grad():
        layer.bias_ih_l0.fill_(7)
    layer.reset_parameters()
    assert not torch.equal(layer.weight_hh_l0, before)
    assert all(is_orthogonal(block) for block in blocks(layer.weight_hh_l0))
    assert layer.bias_ih_l0.sum() == HIDDEN
