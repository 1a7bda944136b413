"""No silent wrong load: a state dict says which cell its weights are of, in its metadata alone."""

import copy
import io
import pickle
from itertools import product

import pytest
import torch
from torch import Tensor, nn

import gatewise
from gatewise.equations import cell, sigmoid, tanh
from gatewise.layers.identity import METADATA_KEY
from tests.user_cells import lstm_forget_first


def peephole(order: str) -> gatewise.Cell:
    """An LSTM with its lines, and so its gates, in this order; f and o see the cell state."""

    @cell
    def ordered(x, h, c, /, W, R, p, b):
        def line(gate):
            total = getattr(W, gate) @ x + getattr(R, gate) @ h + getattr(b, gate)
            if gate in "fo":
                total = total + getattr(p, gate) * c
            return tanh(total) if gate == "g" else sigmoid(total)

        values = {gate: line(gate) for gate in order}
        c = values["f"] * c + values["i"] * values["g"]
        return values["o"] * tanh(c), c

    assert "".join(ordered.gates) == order
    return ordered


def layer_of(cell: gatewise.Cell | str, seed: int, **options) -> gatewise.Recurrent:
    torch.manual_seed(seed)
    return gatewise.Recurrent(cell, 3, 4, 2, bidirectional=True, init="torch", backend="reference", **options)


def plain(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight for name, weight in state_dict.items()}  # noqa: C416  (as people write it)


X = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(9))
MODES = [
    (kind, {"num_layers": 2, "bias": bias, "bidirectional": both, **extra})
    for (kind, extra), bias, both in product(
        [("LSTM", {}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"})], (True, False), (True, False)
    )
]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_another_form_of_the_gru_raises_with_both_names(bias: bool, strict: bool):
    saved = gatewise.GRU(3, 4, bias=bias, variant="cho2014").state_dict()
    layer = gatewise.GRU(3, 4, bias=bias, variant="chung2014")
    before = copy.deepcopy(plain(layer.state_dict()))
    with pytest.raises(RuntimeError, match=r"(?s)the cell gru_cho2014 .*the layer's is gru_chung2014 .*another func"):
        layer.load_state_dict(saved, strict=strict)
    assert all(torch.equal(before[name], weight) for name, weight in layer.state_dict().items())


@pytest.mark.parametrize("strict", [True, False])
def test_weights_of_torch_do_not_load_into_a_cell_that_torch_does_not_have(strict: bool):
    saved = nn.GRU(3, 4, bias=False).state_dict()
    layer = gatewise.GRU(3, 4, bias=False, variant="cho2014")
    assert saved.keys() == layer.state_dict().keys()
    with pytest.raises(RuntimeError, match=r"gatewise\.interchange\.declare\(state_dict, 'gru_cho2014', gates=\['r'"):
        layer.load_state_dict(saved, strict=strict)


@pytest.mark.parametrize(("kind", "options"), MODES)
def test_weights_load_into_torch_and_back_strictly(kind: str, options: dict):
    torch.manual_seed(0)
    of_torch = getattr(nn, kind)(3, 4, **options)
    ours = getattr(gatewise, kind)(3, 4, **options)
    assert ours.state_dict().keys() == of_torch.state_dict().keys()
    ours.load_state_dict(of_torch.state_dict(), strict=True)
    torch.testing.assert_close(ours(X)[0], of_torch(X)[0])
    with torch.no_grad():
        for weight in ours.parameters():
            weight.mul_(1.5)
    of_torch.load_state_dict(ours.state_dict(), strict=True)
    torch.testing.assert_close(of_torch(X)[0], ours(X)[0])


@pytest.mark.parametrize("path", ["plain", "torch.save", "deepcopy", "pickle"])
def test_gates_in_another_order_are_reordered_by_name(path: str):
    saved, layer = layer_of(peephole("figo"), 1), layer_of(peephole("oigf"), 2)
    state = saved.state_dict()
    if path == "torch.save":
        buffer = io.BytesIO()
        torch.save(state, buffer)
        buffer.seek(0)
        state = torch.load(buffer, weights_only=True)
    elif path == "deepcopy":
        state = copy.deepcopy(state)
    elif path == "pickle":
        state = pickle.loads(pickle.dumps(state))
    given = copy.deepcopy(plain(state))
    layer.load_state_dict(state)
    torch.testing.assert_close(layer(X), saved(X), rtol=1e-6, atol=1e-6)
    assert not torch.equal(layer.weight_ih_l0, saved.weight_ih_l0)
    for gate in "figo":
        pairs = zip(layer.gate(gate).items(), saved.gate(gate).items(), strict=True)
        assert all(name == other and torch.equal(one, two) for (name, one), (other, two) in pairs)
    assert all(torch.equal(given[name], weight) for name, weight in state.items())  # the argument is not changed


def test_a_user_who_writes_the_lstm_in_another_order_loads_torch_only_by_declaring_it():
    of_torch = nn.LSTM(3, 4, 2, bidirectional=True)
    layer = layer_of(lstm_forget_first, 0)
    with pytest.raises(RuntimeError, match="declare"):
        layer.load_state_dict(of_torch.state_dict())
    layer.load_state_dict(gatewise.interchange.declare(of_torch.state_dict(), "lstm"))
    torch.testing.assert_close(layer(X)[0], of_torch(X)[0])
    with pytest.raises(RuntimeError, match="declare"):
        layer.load_state_dict(plain(layer.state_dict()))
    fields = layer.state_dict()._metadata[""][METADATA_KEY]  # pyright: ignore[reportAttributeAccessIssue]
    assert fields["gates"] == ["f", "i", "g", "o"]


def test_without_metadata_cells_of_torch_load_and_others_do_not():
    for name in ("lstm", "gru_cudnn", "rnn_tanh", "rnn_relu"):
        saved, layer = layer_of(name, 1), layer_of(name, 2)
        layer.load_state_dict(plain(saved.state_dict()))
        assert torch.equal(layer(X)[0], saved(X)[0])
    for name in ("peephole_lstm", "gru_chung2014", "rnn_sigmoid"):
        saved, layer = layer_of(name, 1), layer_of(name, 2)
        with pytest.raises(RuntimeError, match=f"declare\\(state_dict, '{name}'"):
            layer.load_state_dict(plain(saved.state_dict()), strict=False)


class Model(nn.Module):
    def __init__(self, cell: gatewise.Cell | str, seed: int = 0):
        super().__init__()
        self.embedding = nn.Linear(3, 3)
        self.body = nn.ModuleDict({"rnn": layer_of(cell, seed)})

    def forward(self, x: Tensor) -> Tensor:
        return self.body["rnn"](self.embedding(x))[0]


class Wrapper(nn.Module):
    def __init__(self, module: nn.Module, name: str):
        super().__init__()
        self.add_module(name, module)


def test_a_layer_inside_a_model():
    saved, model = Model(peephole("figo"), 1), Model(peephole("ogif"), 2)
    model.load_state_dict(saved.state_dict())
    torch.testing.assert_close(model(X), saved(X))
    with pytest.raises(RuntimeError, match=r"body\.rnn: these weights are of the cell ordered"):
        Model("peephole_lstm").load_state_dict(saved.state_dict(), strict=False)


def test_weights_of_other_modules_alone_do_not_concern_a_layer():
    model = Model("peephole_lstm")
    missing, _ = model.load_state_dict({"embedding.bias": torch.ones(3)}, strict=False)
    assert "body.rnn.weight_hh_l0" in missing
    assert model.embedding.bias.tolist() == [1, 1, 1]


def test_the_prefix_of_ddp_goes_with_torchs_own_function():
    saved, model = Model(peephole("figo"), 1), Model(peephole("ogif"), 2)
    state = Wrapper(saved, "module").state_dict()
    Wrapper(model, "module").load_state_dict(state)
    torch.testing.assert_close(model(X), saved(X))
    nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    other = Model(peephole("igof"), 3)
    other.load_state_dict(state)
    torch.testing.assert_close(other(X), saved(X))


def test_wrappers_that_hide_their_prefix_hide_it_from_the_identity_too():
    saved, model = Model(peephole("figo"), 1), Model(peephole("ogif"), 2)
    state = Wrapper(saved, "_checkpoint_wrapped_module").state_dict()
    metadata = state._metadata
    state = type(state)((name.removeprefix("_checkpoint_wrapped_module."), weight) for name, weight in state.items())
    state._metadata = metadata  # as torch's checkpoint wrapper and FSDP leave it
    model.load_state_dict(state)
    torch.testing.assert_close(model(X), saved(X))


def test_activation_checkpointing_of_torch():
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    saved, model = Model(peephole("figo"), 1), Model(peephole("ogif"), 2)
    saved.body["rnn"] = checkpoint_wrapper(saved.body["rnn"])
    model.load_state_dict(saved.state_dict())
    torch.testing.assert_close(model(X), saved(X))


def test_assigned_weights_are_reordered_too():
    saved = layer_of(peephole("figo"), 1)
    with torch.device("meta"):
        layer = gatewise.Recurrent(peephole("ogif"), 3, 4, 2, bidirectional=True, init="torch", backend="reference")
    layer.load_state_dict(saved.state_dict(), assign=True)
    torch.testing.assert_close(layer(X)[0], saved(X)[0])
    same = layer_of(peephole("figo"), 2)
    same.load_state_dict(saved.state_dict(), assign=True)
    assert same.weight_hh_l1.data_ptr() == saved.weight_hh_l1.data_ptr()


def test_parametrized_weights_are_checked_and_cannot_be_reordered():
    def normed(order: str) -> gatewise.Recurrent:
        layer = layer_of(peephole(order), 1)
        for name in ("weight_hh_l0", "weight_ih_l0"):
            nn.utils.parametrizations.weight_norm(layer, name)
        return layer

    saved = normed("figo")
    same = normed("figo")
    same.load_state_dict(saved.state_dict())
    assert torch.equal(same(X)[0], saved(X)[0])
    with pytest.raises(RuntimeError, match=r"weight_hh_l0\.original0 is parametrized"):
        normed("ogif").load_state_dict(saved.state_dict())


@pytest.mark.parametrize(
    "found", [1, {}, {"cell": "a", "equations": "b", "gates": []}, {"cell": "a", "equations": 1, "gates": ["i"]}]
)
def test_a_malformed_identity_is_reported(found: object):
    state = gatewise.LSTM(3, 4).state_dict()
    state._metadata[""][METADATA_KEY] = found  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(RuntimeError, match=r"LSTM: the identity of the weights .* is malformed"):
        gatewise.LSTM(3, 4).load_state_dict(state)


def test_weights_of_another_shape_are_torchs_to_report():
    with pytest.raises(RuntimeError, match="size mismatch for weight_hh_l0"):
        layer_of(peephole("figo"), 0).load_state_dict(
            gatewise.Recurrent(peephole("ogif"), 3, 5, 2, bidirectional=True).state_dict()
        )


def test_a_gate_is_read_and_written_in_all_layers_and_directions():
    layer = layer_of("peephole_lstm", 0)
    blocks = layer.gate("f")
    expected = {
        f"{stem}_l{number}{suffix}"
        for stem in ("weight_ih", "weight_hh", "p", "bias_ih")
        for number in (0, 1)
        for suffix in ("", "_reverse")
    }
    assert set(blocks) == expected
    assert torch.equal(blocks["weight_hh_l1_reverse"], layer.weight_hh_l1_reverse[4:8])
    assert torch.equal(blocks["p_l0"], layer.p_l0[4:8])
    assert "p_l0" not in layer.gate("g")
    with torch.no_grad():
        for block in blocks.values():
            block.fill_(2.0)
    for name, weight in layer.named_parameters():
        rows = weight[4:8]
        assert torch.equal(rows, torch.full_like(rows, 2.0)), name
        assert not (weight[:4] == 2).any()
    sum(block.sum() for block in layer.gate("o").values()).backward()
    rows = layer.bias_ih_l0.grad
    assert rows is not None
    assert rows.tolist() == [0] * 12 + [1] * 4


def test_an_unknown_gate():
    with pytest.raises(ValueError, match="the cell lstm has no gate 'z'; its gates are i, f, g, o"):
        gatewise.LSTM(3, 4).gate("z")
    with pytest.raises(ValueError, match="the cell rnn_tanh has no gate 'f'; it has no gates"):
        gatewise.RNN(3, 4).gate("f")
