"""Training a language model: what it computes, what it leaves, what it rejects."""

import csv
import json
import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

import gatewise
from gatewise.data.streams import NO_TARGET, Streams
from gatewise.data.text import sha256
from gatewise.data.vocabularies import build_vocabulary
from gatewise.tasks.api import train
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.language_model.trained import make_model
from gatewise.tasks.options import build, read_toml
from tests.tasks.small import SMALL, TEXT, small_options, train_small


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("reduction", "clipping"),
    [("mean", {"clip_norm": 0.2}), ("sum-over-time", {"clip_norm": 5.0}), ("mean", {"clip_value": 0.01})],
)
def test_training_is_truncated_bptt_as_written_out_by_hand(tmp_path, reduction, clipping):
    """A plain loop of torch alone: carried state, detached at window edges, zero at epoch start."""
    options = small_options(
        tmp_path, dropout=0.0, optimizer="sgd", lr=0.5, schedule="step", loss_reduction=reduction, **clipping
    )
    training_text = TEXT[: len(TEXT) - len(TEXT) // 10]
    vocabulary = build_vocabulary("char", training_text)
    torch.manual_seed(0)
    model = make_model(options, vocabulary)
    recurrent = nn.LSTM(4, 8)
    recurrent.load_state_dict(model.recurrent.state_dict())
    parameters = [model.embedding.weight, *recurrent.parameters(), model.W_hy, model.b_y]
    expected = []
    for epoch in range(2):
        state = None
        for inputs, targets in Streams(vocabulary.encode(training_text), 4, 50):
            hidden, state = recurrent(model.embedding(inputs), state)
            state = tuple(part.detach() for part in state)
            logits = functional.linear(hidden, model.W_hy, model.b_y)
            per_token = functional.cross_entropy(logits.permute(1, 2, 0), targets.T, reduction="none")
            real = targets.T != NO_TARGET
            mean = per_token.sum() / real.sum()
            loss = mean if reduction == "mean" else per_token.sum(1).mean()
            for parameter in parameters:
                parameter.grad = None
            loss.backward()
            gradients = [parameter.grad for parameter in parameters]
            norm = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients))
            expected.append((mean.item(), norm, 0.5 * 0.5**epoch))
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    if "clip_norm" in clipping:
                        gradient = gradient * min(1, clipping["clip_norm"] / norm)
                    else:
                        gradient = gradient.clamp(-clipping["clip_value"], clipping["clip_value"])
                    parameter -= 0.5 * 0.5**epoch * gradient

    chosen = options.__dataclass_fields__.keys() - options.unused().keys()
    train("lm", **{field: getattr(options, field) for field in chosen})
    steps = [row for row in rows(tmp_path / "run") if row["loss"]]
    found = [tuple(float(row[name]) for name in ("loss", "gradient_norm", "learning_rate")) for row in steps]
    assert found == [pytest.approx(step, rel=2e-4) for step in expected]
    assert any(norm > 0.2 for _, norm, _ in found), "the norm before clipping is logged"


@pytest.mark.usefixtures("rendered")
def test_the_run_folder(tmp_path, capsys):
    trained = train_small(tmp_path)
    run = trained.folder.path
    assert sorted(path.name for path in run.iterdir()) == [
        "README.md",
        "config.toml",
        "metrics.csv",
        "plot.png",
        "run.json",
        "scores.json",
        "state.ckpt",
        "vocabulary.json",
        "weights.safetensors",
    ]
    assert (run / "plot.png").stat().st_size > 10_000
    description = json.loads((run / "run.json").read_bytes())
    assert description["sha256"] == {"data": sha256(TEXT)}
    assert description["gatewise"] == gatewise.__version__
    again = build(type(trained.options), read_toml(run / "config.toml"))
    assert again.data == ((tmp_path / "text.txt").resolve(),)
    assert again.out is None
    message = capsys.readouterr().err
    assert sha256(TEXT) in message
    assert "bits per character" in message
    assert "gradient norm" in message
    assert "characters/s" in message
    assert "left" in message


def test_metrics_have_a_row_per_step_and_per_score(tmp_path):
    run = train_small(tmp_path).folder.path
    steps = [row for row in rows(run) if row["loss"]]
    scores = [row for row in rows(run) if row["held_out_loss"]]
    assert [int(row["step"]) for row in steps] == list(range(1, 9))
    assert [int(row["epoch"]) for row in scores] == [1, 2]
    for row in steps:
        assert float(row["bits_per_character"]) == pytest.approx(float(row["loss"]) / math.log(2))
        assert float(row["characters_per_second"]) > 0


def test_epochs_of_some_steps_continue_with_the_carried_state(tmp_path, capsys):
    changes = {"schedule": "constant", "dropout": 0.0}
    whole = rows(train_small(tmp_path, **changes, out=tmp_path / "whole").folder.path)
    short = rows(train_small(tmp_path, **changes, steps_per_epoch=3, epochs=3, patience=None).folder.path)
    assert "epoch: 3 of 4 windows of the text\n" in capsys.readouterr().err
    steps = [[row["loss"] for row in run if row["loss"]] for run in (whole, short)]
    assert (len(steps[0]), len(steps[1])) == (8, 9)
    assert steps[1][:8] == steps[0]
    assert [int(row["step"]) for row in short if row["held_out_loss"]] == [3, 6, 9]


def test_the_best_weights_are_kept_and_training_stops_early(tmp_path):
    # So high a rate makes the held-out score worse at once.
    run = train_small(tmp_path, optimizer="sgd", lr=30.0, clip_norm=30.0, schedule="constant", epochs=9, patience=2)
    held_out = [float(row["held_out_loss"]) for row in rows(run.folder.path) if row["held_out_loss"]]
    best = min(range(len(held_out)), key=held_out.__getitem__)
    assert len(held_out) == best + 1 + 2 < 9
    assert json.loads(run.folder.scores.read_bytes())["ended_by"] == "patience"
    torch.manual_seed(0)
    text = TEXT[len(TEXT) - len(TEXT) // 10 :]
    losses = []
    with torch.no_grad():
        for inputs, targets in Streams(run.vocabulary.encode(text), 1, 1000):
            logits, _ = run.model(inputs)
            losses.append(functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET))
    assert float(losses[0]) == pytest.approx(held_out[best], rel=1e-5)


def test_the_rate_decays_after_each_epoch_that_is_no_better(tmp_path):
    changes = {"optimizer": "sgd", "lr": 30.0, "clip_norm": 30.0, "schedule": "plateau", "decay": 0.25, "epochs": 6}
    run = train_small(tmp_path, patience=None, **changes).folder.path
    rate, best, decays = 30.0, math.inf, 0
    for epoch in range(1, 7):
        of_epoch = [row for row in rows(run) if int(row["epoch"]) == epoch]
        assert {float(row["learning_rate"]) for row in of_epoch if row["loss"]} == {rate}
        held_out = float(of_epoch[-1]["held_out_loss"])
        if held_out >= best:
            rate *= 0.25
            decays += 1
        best = min(best, held_out)
    assert 0 < decays < 6


def test_uniform_initialisation_reaches_every_parameter(tmp_path):
    options = small_options(tmp_path, init="uniform", init_range=0.02, layers=2)
    torch.manual_seed(0)
    for parameter in make_model(options, build_vocabulary("char", TEXT)).parameters():
        assert 0 < parameter.abs().max() <= 0.02


def test_explicit_files_to_score(tmp_path):
    for name in ("valid", "test"):
        (tmp_path / name).write_text(f"the {name} dog\n" * 5)
    trained = train_small(tmp_path, valid=(tmp_path / "valid",), test=(tmp_path / "test",), unit="word", window=10)
    scores = trained.final_scores()
    assert list(scores) == ["valid", "test"]
    assert scores["test"]["tokens"] == 5 * 4 - 1
    assert scores["test"]["unknown_tokens"] == 5
    assert scores["test"]["perplexity"] == pytest.approx(math.exp(scores["test"]["loss"]))
    assert "bits_per_character" not in scores["test"]


def test_without_data_the_manual_is_read_and_both_scores_are_printed(tmp_path, monkeypatch):
    # The manual itself would take long.
    text = (
        "".join(f"paragraph {number} of the manual\n\n" for number in range(90)) + "paragraph 7 of the manual\n\nnew\n"
    )
    monkeypatch.setattr("gatewise.tasks.language_model.corpus.manual_text", lambda: text)
    trained = train_small(tmp_path, data=(), held_out=0.05)
    scores = trained.final_scores()
    assert list(scores) == ["held_out", "held_out_with_repeats"]
    repeated = len("paragraph 7 of the manual\n\n")
    assert scores["held_out_with_repeats"]["tokens"] - scores["held_out"]["tokens"] == repeated
    source = json.loads(trained.folder.description.read_bytes())["source"]
    assert re.fullmatch(r"the manual of Python 3\.\d+\.\d+\S* \(pydoc_data.topics\)", source)


@gatewise.cell
def forget_gate_only(x, h, /, W, R, b):
    from gatewise.equations import sigmoid, tanh

    f = sigmoid(W.f @ x + R.f @ h + b.f)
    return f * h + (1 - f) * tanh(W.n @ x + b.n)


def test_a_users_cell_trains_and_comes_back_in_a_fresh_model(tmp_path):
    options = small_options(tmp_path)
    trained = train("lm", data=options.data, out=tmp_path / "run", cell=forget_gate_only, **SMALL)
    assert trained.model.recurrent.cell == forget_gate_only
    assert gatewise.load(tmp_path / "run").evaluate() == trained.evaluate()


CELL_FILE = """
import gatewise
from gatewise.equations import tanh

@gatewise.cell(cite="no one")
def mine(x, h, /, W, R):
    return tanh(W @ x + R @ (h * 0.5))
"""


def test_a_run_needs_the_file_of_its_cell_no_more(tmp_path, capsys):
    file = tmp_path / "cells.py"
    file.write_text(CELL_FILE)
    trained = train_small(tmp_path, cell=f"{file}:mine", epochs=1)
    assert (trained.model.recurrent.cell.name, trained.model.recurrent.cell.cite) == ("mine", "no one")
    assert "cell = " not in capsys.readouterr().err
    file.unlink()
    again = gatewise.load(tmp_path / "run")
    assert again.model.recurrent.cell == trained.model.recurrent.cell
    assert again.evaluate() == trained.evaluate()
    # With the resolved options as the options of another run, too.
    assert build(LanguageModelOptions, read_toml(tmp_path / "run" / "config.toml")).cell == again.options.cell


def test_a_run_folder_has_no_file_run(tmp_path):
    trained = train_small(tmp_path, cell="rnn_tanh", epochs=1)
    file, ran = tmp_path / "cells.py", tmp_path / "ran"
    file.write_text(f"open({str(ran)!r}, 'w')\n{CELL_FILE}")
    config = trained.folder.config
    config.write_text(config.read_text().replace('"rnn_tanh"', f'"{file}:mine"'))
    with pytest.raises(ValueError, match="expected the name or the text of a cell, got a file"):
        gatewise.load(tmp_path / "run")
    assert not ran.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"window": 1000},
            "the text to train on has 735 tokens (unit char), too short for one window of 1000 steps in",
        ),
        ({"unit": "bpe", "vocabulary_size": 256}, "a bpe vocabulary needs a size above 256"),
        ({"cell": "rnn_relu", "lr": 1e30, "optimizer": "sgd", "clip_norm": 1e30}, "training diverged at step 2: loss"),
    ],
)
def test_what_cannot_be_trained(tmp_path, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        train_small(tmp_path, **changes)
    if "lr" not in changes:
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tie": True}, "tie: needs an embedding as wide as the hidden state, got embedding 64 and hidden 256"),
        ({"vocabulary_size": 10}, "vocabulary_size: is for the units word and bpe"),
        ({"hiden": 3}, "unknown option 'hiden'; did you mean hidden?"),
        ({"config": "missing.toml"}, "missing.toml"),
        ({"data": "missing.txt"}, "missing.txt"),
    ],
)
def test_bad_options(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=re.escape(message)):
        train("lm", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_task():
    with pytest.raises(ValueError, match="unknown task 'ln'; the tasks are: lm, classify, tag, seq2seq, numeric"):
        train("ln")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device(tmp_path):
    with pytest.raises(ValueError, match="device: cuda was asked for, but torch finds no CUDA device"):
        train_small(tmp_path, device="cuda")


@pytest.mark.cuda
def test_training_on_a_gpu_and_reading_the_weights_on_the_processor(tmp_path):
    trained = train_small(tmp_path, device="cuda")
    assert trained.final_scores()["held_out"]["bits_per_character"] > 0
