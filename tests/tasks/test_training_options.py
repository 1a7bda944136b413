"""The options of every task."""

from typing import Any

import pytest
import torch
from torch import nn

from gatewise.data.characters import CharacterVocabulary
from gatewise.layers import Init, Recurrent
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.initial_weights import initialised, recurrent_init, regularisation_of
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.language_model.trained import make_model
from gatewise.tasks.sequence_options import EncoderOptions
from gatewise.tasks.sequence_to_sequence.options import SequenceToSequenceOptions
from gatewise.tasks.training_options import TrainingOptions


def test_the_norm_is_clipped_unless_values_are():
    assert TrainingOptions().clip_norm == 1.0
    assert TrainingOptions(clip_norm=5.0).clip_norm == 5.0
    assert TrainingOptions(clip_value=2.0).clip_norm is None


def test_both_kinds_of_clipping_exclude_each_other():
    with pytest.raises(ValueError, match="clip_norm and clip_value exclude each other"):
        TrainingOptions(clip_norm=1.0, clip_value=1.0)


def test_an_unknown_cell_is_reported_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown cell 'lstn'; did you mean lstm"):
        TrainingOptions(cell="lstn")


def test_a_cell_in_a_file_that_cannot_be_had(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        TrainingOptions(cell=f"{tmp_path / 'none.py'}:mine")
    (tmp_path / "cells.py").write_text("1 / 0")
    with pytest.raises(ValueError, match=r"cells.py cannot be executed: ZeroDivisionError: division by zero"):
        TrainingOptions(cell=f"{tmp_path / 'cells.py'}:mine")


def test_biases_that_keep_a_state_are_for_cells_that_have_them():
    assert TrainingOptions(forget_bias=-2.5).forget_bias == -2.5
    assert TrainingOptions(cell="gru_cudnn", chrono=100).chrono == 100
    for options in ({"forget_bias": 3.0}, {"chrono": 100}):
        with pytest.raises(
            ValueError, match=f"{next(iter(options))}: the cell rnn_tanh has no gate that keeps a state"
        ):
            TrainingOptions(cell="rnn_tanh", **options)
        with pytest.raises(
            ValueError, match=f"{next(iter(options))}: the cell rnn_relu has no gate that keeps a state"
        ):
            SequenceToSequenceOptions(decoder_cell="rnn_relu", **options)
    with pytest.raises(ValueError, match="forget_bias and chrono exclude each other"):
        TrainingOptions(forget_bias=1.0, chrono=100)
    with pytest.raises(ValueError, match="chrono: expected a number at least 2, got 1"):
        TrainingOptions(chrono=1)
    with pytest.raises(ValueError, match="forget_bias: expected a number at least -20 and at most 20, got inf"):
        TrainingOptions(forget_bias=float("inf"))


@pytest.mark.parametrize("init", ["default", "uniform"])
def test_they_are_set_with_any_initialiser(init):
    options = TrainingOptions(init=init, forget_bias=3.0, hidden=4)
    model = initialised(nn.Sequential(Recurrent("lstm", 3, 4, init=recurrent_init(options))), options)
    assert torch.equal((model[0].bias_ih_l0 + model[0].bias_hh_l0)[4:8], torch.full((4,), 3.0))
    assert model[0].weight_hh_l0.abs().max() > 0


def test_models_pass_them_on():
    for make in (
        lambda: make_encoder(EncoderOptions(hidden=4, layers=2, chrono=50), 3),
        lambda: make_model(LanguageModelOptions(hidden=4, layers=2, chrono=50), CharacterVocabulary("abc")),
    ):
        (recurrent,) = (module for module in make().modules() if isinstance(module, Recurrent))
        assert recurrent.init == Init("default", chrono=50)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell": "rnn_tanh", "recurrent_dropout": 0.2}, "recurrent_dropout: the cell rnn_tanh has no candidate"),
        (
            {"cell": "gru_cudnn", "cell_zoneout": 0.1},
            "cell_zoneout: is for cells of several states, and gru_cudnn has h alone",
        ),
        ({"variational": 1.0}, "variational: expected a number at least 0 and at most 0.95, got 1.0"),
    ],
)
def test_a_recurrence_is_regularised_where_the_cell_can_be(given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        TrainingOptions(**given)


@pytest.mark.parametrize("option", ["recurrent_dropout", "variational", "weight_drop"])
def test_a_decoder_that_runs_step_by_step_has_no_mask_of_a_sequence(option: str):
    assert getattr(SequenceToSequenceOptions(**{option: 0.2}), option) == 0.2
    with pytest.raises(ValueError, match=f"{option}: has one mask for a whole sequence, and with attention bahdanau"):
        SequenceToSequenceOptions(attention="bahdanau", **{option: 0.2})


def test_layers_have_the_regularisation_of_the_options():
    assert regularisation_of(TrainingOptions()) == {
        "recurrent_dropout": 0,
        "variational": 0,
        "zoneout": 0,
        "weight_drop": 0,
    }
    options = TrainingOptions(recurrent_dropout=0.1, variational=0.2, zoneout=0.3, cell_zoneout=0.4, weight_drop=0.5)
    layer = Recurrent("lstm", 3, 4, **regularisation_of(options))
    assert layer.regularisation == "recurrent_dropout=0.1, variational=0.2, zoneout=(0.3, 0.4), weight_drop=0.5"
