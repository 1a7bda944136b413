"""The language model: its shapes, its equation, tied weights, and the step that equals the sequence."""

import pytest
import torch
from torch.testing import assert_close

from gatewise.models.language_model import LanguageModel, detach

TOKENS = torch.arange(12).reshape(6, 2) % 7


@pytest.mark.parametrize("cell", ["lstm", "gru_chung2014", "rnn_tanh", "peephole_lstm"])
def test_steps_equal_the_sequence(cell):
    model = LanguageModel(7, 4, 5, cell=cell, num_layers=2).double()
    logits, state = model(TOKENS)
    assert logits.shape == (6, 2, 7)
    step_state, steps = None, []
    for tokens in TOKENS:
        step, step_state = model.step(tokens, step_state)
        steps.append(step)
    assert_close(torch.stack(steps), logits)
    assert_close(step_state, state)


def test_the_read_out_is_linear_in_the_hidden_state():
    model = LanguageModel(7, 4, 5).double()
    hidden, _ = model.recurrent(model.embedding(TOKENS))
    assert_close(model(TOKENS)[0], hidden @ model.W_hy.T + model.b_y)


def test_tied_weights_are_one_matrix():
    model = LanguageModel(7, 5, 5, tie=True).double()
    assert "W_hy" not in model.state_dict()
    hidden, _ = model.recurrent(model.embedding(TOKENS))
    assert_close(model(TOKENS)[0], hidden @ model.embedding.weight.T + model.b_y)


def test_tied_weights_need_equal_widths():
    with pytest.raises(ValueError, match="embedding 4 and hidden 5; make them equal or do not tie"):
        LanguageModel(7, 4, 5, tie=True)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model = LanguageModel(7, 4, 5, num_layers=2, dropout=0.5)
    assert not torch.equal(model(TOKENS)[0], model(TOKENS)[0])
    model.eval()
    assert torch.equal(model(TOKENS)[0], model(TOKENS)[0])


@pytest.mark.parametrize("cell", ["lstm", "rnn_tanh"])
def test_a_detached_state_has_the_same_numbers_and_no_history(cell):
    _, state = LanguageModel(7, 4, 5, cell=cell)(TOKENS)
    detached = detach(state)
    assert_close(detached, state)
    for part in (detached,) if isinstance(detached, torch.Tensor) else detached:
        assert not part.requires_grad
