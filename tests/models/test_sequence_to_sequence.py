"""Encoder, attention, decoder: what they see, and that writing step by step is reading at once."""

import pytest
import torch
from torch import nn

from gatewise.layers import Recurrent
from gatewise.models.attention import Attention
from gatewise.models.decoder import Decoder, as_state, state_tensors
from gatewise.models.encoder import Encoder
from gatewise.models.sequence_to_sequence import SequenceToSequence

KINDS = ["luong-general", "luong-dot", "bahdanau", "none"]


def small_model(attention="luong-general", cell="gru_cudnn", *, decoder_cell=None, layers=1, tie=True, size=7, seed=0):
    torch.manual_seed(seed)
    encoder = Encoder(cell, 4, 6, layers, bidirectional=True, merge="sum")
    decoder = Decoder(
        nn.Embedding(size, 4),
        decoder_cell or cell,
        6,
        layers,
        memory_size=6,
        final_size=12,
        attention=attention,
        tie=tie,
    )
    return SequenceToSequence(nn.Embedding(9, 4), encoder, decoder).double().eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("cell", "layers"), [("gru_cudnn", 1), ("lstm", 2), ("peephole_lstm", 1)])
def test_step_by_step_is_at_once(kind, cell, layers):
    model = small_model(kind, cell, layers=layers, tie=layers == 1)
    source, lengths = torch.randint(9, (5, 3)), torch.tensor([5, 1, 3])
    tokens = torch.randint(7, (4, 3))
    decoder = model.decoder
    with torch.no_grad():
        features, _ = model((source, tokens, torch.full((3,), 4)), lengths)
        expected = features @ decoder.weight.t() + decoder.b_y
        start = model.begin(source, lengths)
        state = start.state
        for now, scores in zip(tokens, expected, strict=True):
            found, state = decoder.step(now[None], start.memory, state)
            torch.testing.assert_close(found[0], scores)


@pytest.mark.parametrize("kind", KINDS)
def test_hypotheses_of_a_row_see_its_memory(kind):
    model = small_model(kind)
    source, lengths = torch.randint(9, (5, 3)), torch.tensor([5, 1, 3])
    tokens = torch.randint(7, (2, 3))
    with torch.no_grad():
        start = model.begin(source, lengths)
        twice = as_state(part.repeat(1, 2, 1) for part in state_tensors(start.state))
        together, _ = model.decoder.step(tokens, start.memory, twice)
        for hypothesis in range(2):
            alone, _ = model.decoder.step(tokens[hypothesis][None], start.memory, start.state)
            torch.testing.assert_close(together[hypothesis], alone[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_in_a_batch_is_what_it_is_alone(kind):
    model = small_model(kind)
    source, lengths = torch.randint(9, (5, 2)), torch.tensor([5, 2])
    tokens = torch.randint(7, (4, 2))
    features, _ = model((source, tokens, torch.tensor([4, 3])), lengths)
    alone, _ = model((source[:2, 1:], tokens[:3, 1:], torch.tensor([3])), torch.tensor([2]))
    torch.testing.assert_close(features[:3, 1:], alone)


@pytest.mark.parametrize("score", ["general", "dot", "additive"])
def test_attention_by_hand(score):
    torch.manual_seed(0)
    attention = Attention(score, 3, 3).double()
    values, query = torch.randn(4, 2, 3).double(), torch.randn(5, 2, 3).double()
    lengths = torch.tensor([4, 2])
    context, weights = attention(query, attention.memory(values, lengths))
    for row, length in enumerate(lengths.tolist()):
        for step in range(5):
            q = query[step, row]
            scores = []
            for value in values[:length, row]:
                if score == "additive":
                    scores.append(attention.v((attention.query(q) + attention.key(value)).tanh())[0])
                else:
                    scores.append(q @ (value if score == "dot" else attention.key.weight @ value))
            expected = torch.stack(scores).softmax(0)
            torch.testing.assert_close(weights[step, row, :length], expected)
            torch.testing.assert_close(context[step, row], expected @ values[:length, row])
    assert (weights[:, 1, 2:] == 0).all()


def test_no_gradient_comes_from_the_padding():
    attention = Attention("additive", 3, 3)
    values = torch.randn(4, 2, 3, requires_grad=True)
    context, _ = attention(torch.randn(5, 2, 3), attention.memory(values, torch.tensor([4, 2])))
    context.sum().backward()
    assert values.grad is not None
    assert (values.grad[2:, 1] == 0).all()
    assert (values.grad[:2, 1] != 0).all()


def test_bahdanau_asks_with_the_last_layers_state():
    model = small_model("bahdanau", layers=2)
    start = model.begin(torch.randint(9, (5, 2)), torch.tensor([5, 4]))
    tokens, lengths = torch.randint(7, (1, 2)), torch.tensor([1, 1])
    changed = [start.state.clone() for _ in range(2)]
    for layer, state in enumerate(changed):
        state[layer] += 1
    before, *after = (
        model.decoder(tokens, lengths, start._replace(state=state))[1] for state in (start.state, *changed)
    )
    assert torch.equal(before, after[0])
    assert not torch.allclose(before, after[1])


def test_dot_needs_equal_widths():
    with pytest.raises(ValueError, match=r"the decoder's is 3, the encoder's 4; take general, or make them equal"):
        Attention("dot", 3, 4)


@pytest.mark.parametrize(("cell", "other", "count"), [("gru_cudnn", "lstm", 2), ("lstm", "rnn_tanh", 1)])
@pytest.mark.parametrize("kind", ["luong-general", "bahdanau"])
def test_the_decoder_may_have_another_cell(cell, other, count, kind):
    model = small_model(kind, cell, decoder_cell=other, layers=2)
    start = model.begin(torch.randint(9, (5, 3)), torch.tensor([5, 1, 3]))
    parts = state_tensors(start.state)
    assert [tuple(part.shape) for part in parts] == [(2, 3, 6)] * count
    for layer in range(2):
        for part in parts:  # each layer and state has a bridge of its own
            assert (part[layer] != parts[0][1 - layer]).all()
    features, _ = model(
        (torch.randint(9, (5, 3)), torch.randint(7, (4, 3)), torch.tensor([4, 2, 3])), torch.tensor([5, 1, 3])
    )
    features.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.decoder.start.parameters())


def test_dropout_drops_a_unit_at_every_step_or_none():
    for kind in KINDS:
        model = small_model(kind)
        model.decoder.dropout.rate = 0.5
        model.decoder.train()
        features, _ = model(
            (torch.randint(9, (5, 2)), torch.randint(7, (6, 2)), torch.tensor([6, 6])), torch.tensor([5, 4])
        )
        dropped = features == 0
        assert dropped.any()
        assert torch.equal(dropped, dropped[:1].expand_as(dropped)), kind


def test_luong_runs_as_one_sequence_and_bahdanau_step_by_step(monkeypatch):
    calls = []
    forward, step = Recurrent.forward, Recurrent.step
    monkeypatch.setattr(
        Recurrent, "forward", lambda self, x, *a, **k: calls.append(len(x)) or forward(self, x, *a, **k)
    )
    monkeypatch.setattr(Recurrent, "step", lambda self, *a, **k: calls.append("step") or step(self, *a, **k))
    inputs = (torch.randint(9, (5, 2)), torch.randint(7, (3, 2)), torch.tensor([3, 3]))
    small_model("luong-general")(inputs, torch.tensor([5, 4]))
    assert calls == [5, 3]
    calls.clear()
    small_model("bahdanau")(inputs, torch.tensor([5, 4]))
    assert calls == [5, "step", "step", "step"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    model = small_model(kind, "lstm", layers=2, tie=False)
    features, _ = model(
        (torch.randint(9, (5, 2)), torch.randint(7, (3, 2)), torch.tensor([3, 2])), torch.tensor([5, 2])
    )
    (features @ model.decoder.weight.t() + model.decoder.b_y).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_tied_read_out_is_the_embedding():
    tied, own = small_model(tie=True).decoder, small_model(tie=False).decoder
    assert tied.weight is tied.embedding.weight
    assert own.weight is own.W_hy
