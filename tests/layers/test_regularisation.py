"""Recurrent dropout, variational dropout, zoneout and weight drop, against the papers with a generator of its own."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.equations import Cell, cell, dropout, tanh
from gatewise.layers import Recurrent
from tests.combinations import combinations

LENGTHS = [6, 0, 4]
RESET = torch.zeros(6, 3, dtype=torch.bool)
RESET[2, 0] = RESET[3, 2] = True
HIDDEN = 19


def random_word(seed: int, stream: int, name: str, row: int, step: int, unit: int) -> int:
    """Philox4x32-10 of one counter, in Python's integers."""
    c = [unit // 64 * 16 + unit % 16 + (stream << 20), step, row, crc32(name.encode())]
    k = [seed % 2**32, seed // 2**32]
    for _ in range(10):
        high_a, low_a = divmod(0xD2511F53 * c[0], 2**32)
        high_b, low_b = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high_b ^ c[1] ^ k[0], low_b, high_a ^ c[3] ^ k[1], low_a]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c[unit // 16 % 4]


def mask(seed: int, stream: int, name: str, row: int, step: int, p: float) -> Tensor:
    """1 for the units that are kept, else 0."""
    words = [random_word(seed, stream, name, row, step, unit) for unit in range(HIDDEN)]
    return torch.tensor([float(word >= p * 2**32) for word in words], dtype=torch.float64)


Drawn = Callable[[str, int], Tensor]
Step = Callable[[dict[str, Tensor], Tensor, tuple[Tensor, ...], Drawn], tuple[Tensor, ...]]


def lstm_gates(weights: dict[str, Tensor], x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    total = weights["weight_ih"] @ x + weights["bias_ih"] + weights["weight_hh"] @ h + weights["bias_hh"]
    i, f, g, o = total.chunk(4)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


def semeniuta(weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...], drawn: Drawn) -> tuple[Tensor, ...]:
    """Semeniuta et al. 2016, eq. 9: c_t = f_t c_{t−1} + i_t d(g_t), with p = 0.25."""
    h, c = state
    i, f, g, o = lstm_gates(weights, x, h)
    c = f * c + i * (g * drawn("candidate", 0) / 0.75)
    return o * c.tanh(), c


def gal(weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...], drawn: Drawn) -> tuple[Tensor, ...]:
    """Gal & Ghahramani 2016: the gates see h_{t−1} ∘ z_h, tied over the gates and the steps, with p = 0.25."""
    h, c = state
    i, f, g, o = lstm_gates(weights, x, h * drawn("variational", 0) / 0.75)
    c = f * c + i * g
    return o * c.tanh(), c


def krueger(weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...], drawn: Drawn) -> tuple[Tensor, ...]:
    """Krueger et al. 2017, section 4.1: h_t from the whole new cell; p = 0.125 of h, 0.5 of c."""
    h, c = state
    i, f, g, o = lstm_gates(weights, x, h)
    new = f * c + i * g
    keep_h, keep_c = 1 - drawn("zoneout_h", 1), 1 - drawn("zoneout_c", 1)
    return keep_h * h + (1 - keep_h) * (o * new.tanh()), keep_c * c + (1 - keep_c) * new


def kept_together(weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...], drawn: Drawn) -> tuple[Tensor, ...]:
    """An sLSTM (Beck et al. 2024) whose c, n and m are one state for zoneout; p = 0.125 of h, 0.5 of the others."""
    h, *before = state
    c, n, m = before
    i, f, z, o = (weights["weight_ih"] @ x + weights["bias_ih"] + weights["weight_hh"] @ h).chunk(4)
    kept = torch.nn.functional.logsigmoid(f) + m
    now = torch.where(n == 0, i, torch.maximum(i, kept))
    admit, keep = (i - now).exp(), torch.where(n == 0, 0.0, (kept - now).exp())
    new = keep * c + admit * z.tanh(), keep * n + admit, now
    keep_h, keep_c = 1 - drawn("zoneout_h", 1), 1 - drawn("zoneout_c", 1)
    output = keep_h * h + (1 - keep_h) * (o.sigmoid() * (new[0] / new[1]))
    return output, *(keep_c * old + (1 - keep_c) * one for old, one in zip(before, new, strict=True))


def gal_gru(weights: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...], drawn: Drawn) -> tuple[Tensor, ...]:
    """The GRU of Chung et al. 2014: h_{t−1} is masked where it is multiplied, and whole where it is kept."""
    (h,) = state
    seen = h * drawn("variational", 0) / 0.75
    over_x = weights["weight_ih"] @ x + weights["bias_ih"]
    (rx, zx, nx), (r_h, z_h, n_h) = over_x.chunk(3), weights["weight_hh"].chunk(3)
    r, z = (rx + r_h @ seen).sigmoid(), (zx + z_h @ seen).sigmoid()
    return ((1 - z) * h + z * (nx + n_h @ (r * seen)).tanh(),)


PAPERS: dict[str, tuple[str, dict[str, Any], Step, dict[str, float]]] = {
    "recurrent dropout": ("lstm", {"recurrent_dropout": 0.25}, semeniuta, {"candidate": 0.25}),
    "variational": ("lstm", {"variational": 0.25}, gal, {"variational": 0.25}),
    "zoneout": ("lstm", {"zoneout": (0.125, 0.5)}, krueger, {"zoneout_h": 0.125, "zoneout_c": 0.5}),
    "zoneout of an sLSTM": ("slstm", {"zoneout": (0.125, 0.5)}, kept_together, {"zoneout_h": 0.125, "zoneout_c": 0.5}),
    "variational GRU": ("gru_chung2014", {"variational": 0.25}, gal_gru, {"variational": 0.25}),
}


def by_hand(layer: Recurrent, x: Tensor, step: Step, rates: dict[str, float], seed: int) -> Tensor:
    """The output (T, B, 2·H) of a bidirectional layer, row by row."""
    sides: list[Tensor] = []
    for direction, suffix in enumerate(("_l0", "_l0_reverse")):
        weights = {name.removesuffix(suffix): one for name, one in layer.named_parameters() if name.endswith(suffix)}
        rows: list[Tensor] = []
        for row, length in enumerate(LENGTHS):
            zero = tuple(torch.zeros(HIDDEN, dtype=torch.float64) for _ in layer.cell.states)
            state, outputs = zero, [torch.zeros(HIDDEN, dtype=torch.float64)] * len(x)
            for t in reversed(range(length)) if direction else range(length):
                state = zero if RESET[t, row] and not direction else state

                drawn_for = functools.partial(mask, seed, direction)

                def drawn(name: str, each_step: int, drawn_for: Any = drawn_for, t: int = t, row: int = row) -> Tensor:
                    return drawn_for(name, row, t if each_step else 0, rates[name])

                state = step(weights, x[t, row], state, drawn)
                outputs[t] = state[0]
                state = zero if RESET[t, row] and direction else state
            rows.append(torch.stack(outputs))
        sides.append(torch.stack(rows, dim=1))
    return torch.cat(sides, dim=-1)


def next_seed() -> int:
    """The seed that the next call draws, without drawing it."""
    state = torch.get_rng_state()
    seed = int(torch.randint(2**63 - 1, (), dtype=torch.int64))
    torch.set_rng_state(state)
    return seed


@combinations({"paper": PAPERS, "backend": ["auto", "reference"], "checkpoint_every": [None, 2]})
def test_training_is_the_papers(paper: str, backend: Any, checkpoint_every: int | None):
    name, options, step, rates = PAPERS[paper]
    torch.manual_seed(2)
    layer = Recurrent(
        name,
        3,
        HIDDEN,
        bidirectional=True,
        init="torch",
        backend=backend,
        checkpoint_every=checkpoint_every,
        dtype=torch.float64,
        **options,
    )
    x = torch.randn(6, 3, 3, dtype=torch.float64, requires_grad=True)
    seed = next_seed()
    output, _ = layer(x, lengths=torch.tensor(LENGTHS), reset=RESET)
    expected = by_hand(layer, x, step, rates, seed)
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-13)
    upstream, leaves = torch.randn_like(output), [x, *layer.parameters()]
    found = torch.autograd.grad(output, leaves, upstream)
    wanted = torch.autograd.grad(expected, leaves, upstream)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.5}, {"variational": 0.5}, {"weight_drop": 0.5}])
def test_dropouts_do_nothing_in_evaluation(options: dict[str, Any]):
    layer = gatewise.LSTM(3, 4, num_layers=2, **options)
    plain = gatewise.LSTM(3, 4, num_layers=2)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(5, 2, 3)
    assert not torch.equal(layer(x)[0], plain(x)[0])
    assert torch.equal(layer.eval()(x)[0], plain(x)[0])
    assert layer.running_cell == plain.cell


def test_zoneout_in_evaluation_is_the_mean_of_both_states():
    layer = gatewise.LSTM(3, 4, zoneout=(0.25, 0.5)).eval()
    plain = gatewise.LSTM(3, 4)
    plain.load_state_dict(layer.state_dict())
    h, c = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    for x_t in torch.randn(5, 2, 3):
        y_t, state = layer.step(x_t, (h, c))
        _, (new_h, new_c) = plain.step(x_t, (h, c))
        h, c = 0.25 * h + 0.75 * new_h, 0.5 * c + 0.5 * new_c
        torch.testing.assert_close(state, (h, c))
        torch.testing.assert_close(y_t, h[0])


@pytest.mark.parametrize("no_grad", [False, True])
def test_a_stream_keeps_the_masks_of_a_sequence(no_grad: bool):
    layer = gatewise.LSTM(3, 20, num_layers=2, variational=0.3, zoneout=0.2, dtype=torch.float64)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    with torch.set_grad_enabled(not no_grad):
        torch.manual_seed(4)
        whole = layer(x)[0]
        torch.manual_seed(4)
        stream = layer.stream(x)
        torch.testing.assert_close(torch.stack(list(stream)), whole, rtol=1e-13, atol=1e-14)
        assert not torch.allclose(torch.stack(list(layer.stream(x))), whole)


def test_steps_in_training():
    x_t = torch.randn(2, 3)
    for options in ({"variational": 0.1}, {"recurrent_dropout": 0.1}, {"weight_drop": 0.1}):
        layer = gatewise.LSTM(3, 4, **options)
        with pytest.raises(ValueError, match="step: in training LSTM drops the same units or weights at all steps"):
            layer.step(x_t)
        layer.eval().step(x_t)
    with pytest.raises(ValueError, match="stream: in training"):
        gatewise.LSTM(3, 4, weight_drop=0.1).stream(x_t)
    layer = gatewise.GRU(3, 40, zoneout=0.5)
    assert not torch.equal(layer.step(x_t)[0], layer.step(x_t)[0])


def test_replays_of_truncated_bptt_have_the_masks_of_the_stream():
    layer = gatewise.LSTM(3, 20, variational=0.3, zoneout=0.2)
    x = torch.randn(12, 2, 3)
    outputs: list[Tensor] = []
    torch.manual_seed(5)
    for window in gatewise.TBPTT(2, 6).windows(x, x):
        outputs.append(window.run(layer))
        torch.randn(3)  # other draws between the windows
    torch.manual_seed(5)
    torch.testing.assert_close(torch.cat(outputs), layer(x)[0])


def test_masks_of_a_seed_are_those_of_its_sequence():
    layers = [gatewise.LSTM(3, 20, variational=0.3, zoneout=0.2) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    layer, x = layers[0], torch.randn(12, 2, 3)

    def run(step: int, steps: int, state: Any = None, seed: int = 8) -> tuple[Tensor, Any]:
        torch.randn(2)  # torch's generator does not matter
        with gatewise.mask_seed(seed, step):
            return layer(x[step : step + steps], state)

    whole, _ = run(0, 12)
    first, state = run(0, 4)
    torch.testing.assert_close(torch.cat([first, run(4, 8, state)[0]]), whole)
    assert not torch.allclose(run(0, 12, seed=9)[0], whole)
    with gatewise.mask_seed(8):  # each layer has masks of its own
        assert not torch.allclose(layers[1](x)[0], layers[0](x)[0])
    with gatewise.mask_seed(8, 4):  # a resumed stream, whose windows are run again from earlier states
        windows = list(gatewise.TBPTT(2, 4).windows(x[4:], state=state))
        torch.testing.assert_close(torch.cat([window.run(layer) for window in windows]), whole[4:])
    with gatewise.mask_seed(8), pytest.raises(Exception, match="or of mask_seed, are not supported inside torch"):
        torch.compile(layer, fullgraph=True, backend="aot_eager")(x)


@pytest.mark.parametrize(
    ("seed", "step", "message"),
    [(-1, 0, "seed: expected at least 0"), (2**63, 0, "seed: expected"), (1, -1, "step: expected"), (0.5, 0, "seed")],
)
def test_seeds_out_of_range(seed: Any, step: int, message: str):
    with pytest.raises((ValueError, TypeError), match=message):
        gatewise.mask_seed(seed, step)


def weights_kept(shape: torch.Size, seed: int, stream: int, step: int, p: float) -> Tensor:
    """The factors of a recurrent weight ``R`` of a layer and direction, in a call that begins with a step."""
    rows, columns = shape
    words = [[random_word(seed, stream, "weight R", row, step, unit) for unit in range(columns)] for row in range(rows)]
    return (torch.tensor(words) >= p * 2**32).double() / (1 - p)


@combinations({"backend": ["auto", "reference"], "lengths": [None, [4, 0, 3]], "checkpoint_every": [None, 2]})
def test_weight_drop_is_a_layer_with_other_weights(
    backend: Any, lengths: list[int] | None, checkpoint_every: int | None
):
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "dtype": torch.float64}
    layer = gatewise.LSTM(3, 20, weight_drop=0.25, backend=backend, checkpoint_every=checkpoint_every, **options)
    plain = gatewise.LSTM(3, 20, **options)
    x = torch.randn(4, 3, 3, dtype=torch.float64, requires_grad=True)
    weights, leaves = dict(layer.named_parameters()), dict[str, Tensor]()
    seed = next_seed()
    output, state = layer(x, lengths=None if lengths is None else torch.tensor(lengths))
    for stream, name in enumerate(("l0", "l0_reverse", "l1", "l1_reverse")):
        weight = weights[f"weight_hh_{name}"]
        leaves[f"weight_hh_{name}"] = weight * weights_kept(weight.shape, seed, stream, 0, 0.25)
    expected = torch.func.functional_call(
        plain, weights | leaves, (x,), {"lengths": None if lengths is None else torch.tensor(lengths)}
    )
    torch.testing.assert_close((output, state), expected, rtol=1e-12, atol=1e-13)
    wanted, upstream = [x, *weights.values()], torch.randn_like(output)
    found = torch.autograd.grad(output, wanted, upstream, create_graph=True)
    expected_gradients = torch.autograd.grad(expected[0], wanted, upstream, create_graph=True)
    torch.testing.assert_close(found, expected_gradients, rtol=1e-11, atol=1e-12)
    second, expected_second = (
        torch.autograd.grad(sum((one.square().sum() for one in first), torch.zeros(())), wanted, allow_unused=True)
        for first in (found, expected_gradients)
    )
    torch.testing.assert_close(second, expected_second, rtol=1e-10, atol=1e-11)


def test_a_stack_without_gradients_drops_the_same_weights():
    layer = gatewise.GRU(3, 20, num_layers=3, bidirectional=True, weight_drop=0.5)
    x = torch.randn(4, 2, 3)
    torch.manual_seed(6)
    expected = layer(x)
    torch.manual_seed(6)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)


def test_frozen_weights_are_dropped_too():
    layer = gatewise.LSTM(3, 20, weight_drop=0.5)
    x = torch.randn(4, 2, 3)
    torch.manual_seed(6)
    expected = layer(x)[0]
    for no_grad in (False, True):
        with layer.frozen(), torch.set_grad_enabled(not no_grad):
            layer.eval()(x)
            torch.manual_seed(6)
            torch.testing.assert_close(layer.train()(x)[0], expected)


def test_weights_are_dropped_once_for_a_call_and_again_where_it_is_run_again():
    layer = gatewise.LSTM(3, 20, weight_drop=0.5)
    x, layer.weight_ih_l0.data[:] = torch.randn(12, 2, 3), 0.0  # all that differs is what is dropped

    def run(step: int, seed: int = 3) -> Tensor:
        torch.randn(2)  # torch's generator does not matter
        with gatewise.mask_seed(seed, step):
            return layer(x[:4], hx)[0].detach()

    hx = torch.randn(1, 2, 20), torch.randn(1, 2, 20)
    assert torch.equal(run(0), run(0))
    assert not torch.allclose(run(4), run(0))
    assert not torch.allclose(run(0, seed=4), run(0))
    weight = layer.weight_hh_l0 * weights_kept(layer.weight_hh_l0.shape, 3, 0, 4, 0.5)
    plain = gatewise.LSTM(3, 20)
    plain.load_state_dict({**layer.state_dict(), "weight_hh_l0": weight})
    torch.testing.assert_close(run(4), plain(x[:4], hx)[0])
    with gatewise.mask_seed(3):
        first = [window.run(layer) for window in gatewise.TBPTT(4, 4).windows(x, state=hx)]
    with gatewise.mask_seed(3):
        again = [window.run(layer) for window in gatewise.TBPTT(4, 4).windows(x, state=hx)]
    assert torch.equal(torch.cat(first), torch.cat(again))
    torch.testing.assert_close(first[0], run(0))
    with gatewise.mask_seed(3):  # compiled, it draws from torch's generator at every call
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        assert not torch.allclose(compiled(x)[0], compiled(x)[0])


def test_weights_without_memory_are_named():
    layer = gatewise.LSTM(3, 4, weight_drop=0.5)
    layer.weight_hh_l0.untyped_storage().resize_(0)
    with pytest.raises(ValueError, match="recurrent weight: expected values for its shape"):
        layer(torch.randn(4, 2, 3))


def test_weight_drop_in_transforms():
    layer = gatewise.GRU(3, 4, weight_drop=0.5, dtype=torch.float64)
    x, parameters = torch.randn(5, 2, 3, dtype=torch.float64), dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
        with gatewise.mask_seed(3):
            return torch.func.functional_call(layer, parameters, (row,))[0].square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))(parameters, x)
    with gatewise.mask_seed(3):
        whole = torch.autograd.grad(layer(x)[0].square().sum(), list(parameters.values()))
    for found, expected in zip(each.values(), whole, strict=True):
        torch.testing.assert_close(found.sum(0), expected)
    with gatewise.mask_seed(3):  # the seed of a batch of layers, drawn outside
        different = torch.func.vmap(lambda scale: layer(x * scale)[0])(torch.ones(3, dtype=torch.float64))
    assert torch.equal(different[0], different[1])


@pytest.mark.parametrize(
    "options",
    [
        {"variational": 0.3},
        {"zoneout": 0.3},
        {"recurrent_dropout": 0.3},
        {"weight_drop": 0.3},
        {"weight_drop": 0.2, "zoneout": 0.3},
    ],
)
def test_compiled(options: dict[str, Any]):
    layer = gatewise.GRU(3, 8, **options)
    x = torch.randn(4, 2, 3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    results: list[tuple[Tensor, ...]] = []
    for one in (layer, compiled):
        torch.manual_seed(7)
        output = one(x)[0]
        results.append((output, *torch.autograd.grad(output.square().sum(), list(layer.parameters()))))
    torch.testing.assert_close(results[0], results[1])
    assert not torch.equal(compiled(x)[0], compiled(x)[0])


def test_gates_are_recorded_as_they_were_drawn():
    layer = gatewise.LSTM(3, 8, variational=0.5, recurrent_dropout=0.5)
    with gatewise.watch(layer) as trace:
        output, _ = layer(torch.randn(5, 2, 3))
    gates = dict(trace.gates().items())
    candidate_mask = torch.tensor([0.0, 2.0])
    c = torch.zeros(2, 8)
    for t in range(5):
        i, f, g, o = (gates[name][t] for name in "ifgo")
        cell_states = [f * c + factor * i * g for factor in candidate_mask]
        outputs = [o * one.tanh() for one in cell_states]
        dropped = (outputs[0] - output[t]).abs() < 1e-6
        assert (dropped | ((outputs[1] - output[t]).abs() < 1e-6)).all()
        c = torch.where(dropped, *cell_states)
    assert dropped.any()
    assert not dropped.all()


def own_masks() -> Cell:
    @cell
    def dropped(x, h, /, W, R, b):
        return tanh(W @ x + R @ dropout(h, "old") + b)

    return dropped


def test_masks_of_a_cell_have_their_rates():
    layer = Recurrent(own_masks(), 3, 50, rates={"old": 0.5}, init="torch")
    plain = gatewise.RNN(3, 50, bias="single")
    with torch.no_grad():
        for to, parameter in zip(plain.parameters(), layer.parameters(), strict=True):
            to.copy_(parameter)
    x = torch.randn(5, 2, 3)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    torch.testing.assert_close(layer.eval()(x)[0], plain.eval()(x)[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gatewise.LSTM(3, 4, variational=1.5), "variational: expected a probability between 0 and 1, got 1.5"),
        (
            lambda: gatewise.LSTM(3, 4, zoneout=(0.1, 0.2, 0.3)),
            "zoneout: expected a probability for h and one for c, got",
        ),
        (lambda: gatewise.LSTM(3, 4, weight_drop=-1), "weight_drop: expected a probability"),
        (lambda: gatewise.RNN(3, 4, recurrent_dropout=0.1), "the cell rnn_tanh has no candidate beside a gate"),
        (lambda: Recurrent("slstm", 3, 4, zoneout=(0.1,)), "zoneout: .* for h and one for c, n, m, got"),
        (lambda: gatewise.GRU(3, 4, zoneout=(0.1, 0.2)), "zoneout: expected a probability for h, got"),
        (lambda: Recurrent(own_masks(), 3, 4), r"needs a probability for each mask: pass rates=\{'old': p\}"),
        (lambda: gatewise.LSTM(3, 4, rates={"old": 0.1}), "rates: the cell lstm has no mask 'old'; it has none"),
        (lambda: Recurrent(own_masks(), 3, 4, rates={"old": 2}), r"rates\['old'\]: expected a probability"),
        (lambda: gatewise.to_torch(gatewise.LSTM(3, 4, zoneout=0.1)), "it has zoneout=0.1"),
        (lambda: gatewise.to_keras(gatewise.LSTM(3, 4, variational=0.1)), "the layer has variational=0.1"),
    ],
)
def test_errors_name_the_option(make: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_options_are_shown():
    assert "zoneout=(0.1, 0.2), weight_drop=0.5" in repr(gatewise.LSTM(3, 4, zoneout=(0.1, 0.2), weight_drop=0.5))


def test_weights_move_between_layers_with_and_without_options():
    regularised, plain = gatewise.LSTM(3, 4, zoneout=0.1, variational=0.2), gatewise.LSTM(3, 4)
    plain.load_state_dict(regularised.state_dict())
    regularised.load_state_dict(plain.state_dict())


def test_onnx_has_the_means_of_evaluation(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    layer = gatewise.GRU(3, 4, zoneout=0.25, variational=0.5)
    x = torch.randn(4, 2, 3)
    exported = gatewise.to_onnx(layer, (x,), tmp_path / "layer.onnx")  # compared in ONNX Runtime
    assert exported.layers


@pytest.mark.parametrize("option", ["recurrent_dropout", "variational", "zoneout", "weight_drop"])
def test_asking_for_the_backend_draws_nothing(option: str):
    layer = gatewise.LSTM(3, 4, **{option: 0.5})
    x = torch.randn(5, 2, 3)
    before = torch.get_rng_state()
    layer.backend_for(x)
    assert torch.equal(torch.get_rng_state(), before)
    layer(x)
    assert not torch.equal(torch.get_rng_state(), before)
