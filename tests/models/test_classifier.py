"""Encoder, pools and classifier: rows of a batch do not see each other, nor the padding."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gatewise.models.classifier import Classifier
from gatewise.models.dropout import SequenceDropout
from gatewise.models.encoder import Encoder, length_mask
from gatewise.models.pooling import Pooling
from gatewise.models.spelling import CharacterConvolution, CharacterRecurrent
from gatewise.models.tagger import Tagger
from gatewise.models.token_embedding import TokenEmbedding

LENGTHS = [5, 2, 1]


def encoder(**changes):
    torch.manual_seed(0)
    return Encoder("gru_chung2014", 3, 4, **{"bidirectional": True, **changes}).double()


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("changes", [{}, {"merge": "sum"}, {"bidirectional": False}, {"num_layers": 2}])
def test_a_row_in_a_batch_is_what_it_is_alone(pool, changes):
    model = Classifier(nn.Identity(), encoder(**changes), pool, 6).double()
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    together = model((x,), torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        alone = model((x[:length, row : row + 1],), torch.tensor([length]))
        assert_close(together[row], alone[0])


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
def test_a_sequence_without_steps_has_finite_scores_and_gradients(pool):
    model = Classifier(nn.Identity(), encoder(), pool, 2).double()
    model((torch.randn(2, 2, 3, dtype=torch.float64),), torch.tensor([2, 0])).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


def test_pools_are_what_they_say():
    output = torch.tensor([[[1.0, -5.0]], [[3.0, -7.0]], [[0.0, 0.0]]])
    lengths, final = torch.tensor([2]), torch.tensor([[8.0]])
    assert Pooling("last", 2)(output, final, lengths).tolist() == [[8.0]]
    assert Pooling("mean", 2)(output, final, lengths).tolist() == [[2.0, -6.0]]
    assert Pooling("max", 2)(output, final, lengths).tolist() == [[3.0, -5.0]]
    pooling = Pooling("attention", 2)
    weights = pooling.weights(output, lengths)
    assert weights[2].item() == 0
    assert weights.sum().item() == pytest.approx(1.0)
    scores = pooling.score[2](torch.tanh(pooling.score[0](output[:2])))[..., 0].softmax(0)
    assert_close(weights[:2], scores)


def test_the_final_state_is_that_of_the_ends():
    model = encoder(num_layers=2)
    output, final = model(torch.randn(5, 3, 3, dtype=torch.float64), torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        assert_close(final[row], torch.cat((output[length - 1, row, :4], output[0, row, 4:])))
    assert length_mask(3, torch.tensor([2, 0])).T.tolist() == [[True, True, False], [False] * 3]


@pytest.mark.parametrize("kind", [CharacterConvolution, CharacterRecurrent])
def test_a_spelling_does_not_see_the_padding(kind):
    model = kind(9, 3, 4)
    characters = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]]).T
    together = model(characters, torch.tensor([4, 2]))
    assert together.shape == (2, model.width)
    assert_close(together[1:], model(characters[:2, 1:], torch.tensor([2])))
    assert torch.isfinite(model(characters, torch.tensor([4, 0]))).all()


def test_tokens_seldom_seen_are_now_and_then_unknown_in_training_only():
    torch.manual_seed(0)
    model = TokenEmbedding(4, 3, counts=[0, 100, 3, 1], unknown_weight=1.0)
    tokens = torch.tensor([1, 2, 3]).repeat(1000, 1)
    read = (model(tokens) == model.embedding.weight[0]).all(-1).double().mean(0)
    assert read.tolist() == pytest.approx([1 / 101, 1 / 4, 1 / 2], abs=0.05)
    model.eval()
    assert torch.equal(model(tokens), model.embedding(tokens))
    for without in (TokenEmbedding(4, 3, unknown_weight=1.0), TokenEmbedding(4, 3, counts=[0, 1, 1, 1])):
        assert torch.equal(without(tokens), without.embedding(tokens))


def test_a_token_has_the_vector_of_its_own_spelling():
    spelling = CharacterConvolution(9, 3, 4)
    model = TokenEmbedding(5, 3, spelling=spelling)
    characters, lengths = torch.tensor([[1, 2], [3, 0]]).T, torch.tensor([2, 1])
    found = model(torch.tensor([[1], [2]]), characters, lengths, torch.tensor([[1], [0]]))
    vectors = spelling(characters, lengths)
    assert_close(found[:, 0, 3:], vectors[[1, 0]])


def test_dropout_before_the_layers_is_optional():
    x = torch.ones(1, 1, 3, dtype=torch.float64)
    model = encoder(dropout=0.9, drop_input=False)
    seen = []
    model.recurrent.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    output, _ = model(x, torch.tensor([1]))
    assert torch.equal(seen[0], x)
    assert (output == 0).any()


def test_a_tagger_without_a_field_takes_the_best_of_each_step():
    model = Tagger(nn.Identity(), encoder(), 6).double()
    scores = model((torch.randn(5, 3, 3, dtype=torch.float64),), torch.tensor(LENGTHS))
    assert torch.equal(model.decode(scores, torch.tensor(LENGTHS)), scores.argmax(-1))


def test_a_convolution_over_characters_is_that_of_torch():
    model = CharacterConvolution(9, 3, 4)
    characters, lengths = torch.randint(9, (6, 5)), torch.tensor([6, 2, 1, 4, 6])
    weight = model.filters.weight.unflatten(1, (3, 3)).transpose(1, 2)
    for word, length in enumerate(lengths.tolist()):
        x = model.embedding(characters[:length, word]).T[None]
        expected = nn.functional.conv1d(x, weight, model.filters.bias, padding=1)
        assert_close(model(characters, lengths)[word], expected[0].amax(1))


def test_a_dropped_unit_is_dropped_at_every_step_and_the_others_make_up_for_it():
    torch.manual_seed(0)
    dropout = SequenceDropout(0.25)
    x = dropout(torch.ones(4, 50, 40))
    assert torch.equal(x, x[:1].expand_as(x))
    assert x.unique().tolist() == pytest.approx([0, 4 / 3])
    assert 0.22 < float((x == 0).double().mean()) < 0.28
