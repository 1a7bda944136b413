"""A run that stops anywhere resumes as if it had not: the same losses, to the last bit."""

import json
import os
import random
import re
import shutil
import signal
import time

import pytest
import safetensors.torch
import torch

import gatewise
from gatewise.tasks import state_file
from gatewise.tasks.api import resume
from gatewise.tasks.language_model import training
from gatewise.tasks.options import to_toml
from tests.forked import Forked
from tests.tasks.small import losses, small_options, train_small
from tests.tasks.small_sequences import SMALL, labelled_texts, small_tokens

CASES = {
    "cosine": {},
    "plateau": {"schedule": "plateau", "optimizer": "sgd", "lr": 10.0, "clip_norm": 10.0, "epochs": 4},
    "layers": {"schedule": "step", "cell": "gru_chung2014", "layers": 2, "unit": "word", "window": 15},
    "double": {"precision": "64", "tie": True, "embedding": 8, "loss_reduction": "sum-over-time"},
    "short": {"steps_per_epoch": 3, "epochs": 3},
    "accumulate": {"accumulate": 3, "window": 12},
    "masks": {"recurrent_dropout": 0.1, "variational": 0.2, "zoneout": 0.3, "cell_zoneout": 0.1, "weight_drop": 0.4},
    "bfloat": {"precision": "bf16-mixed", "cell": "rnn_tanh", "optimizer": "rmsprop"},
}


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Copies of the run folder as it was after every step and epoch."""
    copies = []
    save = state_file.SaveState._save

    def save_and_copy(self, trainer):
        save(self, trainer)
        if trainer.default_root_dir == str(tmp_path / "run"):
            copies.append(shutil.copytree(tmp_path / "run", tmp_path / f"copy{len(copies) + 1}"))

    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(state_file.SaveState, "_save", save_and_copy)
    return copies


def check_resumed(run, copies):
    """Each of the copies becomes the same run."""
    weights = safetensors.torch.load_file(run / "weights.safetensors")
    for copy in copies:
        with (copy / "metrics.csv").open("a") as file:
            file.write("99,1,what a killed run wrote after its last sa")
        resume(copy)
        assert losses(copy) == losses(run)
        assert (copy / "scores.json").read_bytes() == (run / "scores.json").read_bytes()
        resumed = safetensors.torch.load_file(copy / "weights.safetensors")
        assert all(torch.equal(resumed[name], weights[name]) for name in weights)


@pytest.mark.parametrize("case", CASES)
def test_every_saved_state_leads_to_the_same_run(tmp_path, saved, case):
    train_small(tmp_path, **CASES[case])
    assert len(saved) >= 6
    check_resumed(tmp_path / "run", {*saved[::3], saved[-1]})


def test_batches_that_are_shuffled_in_each_epoch_are_those_of_the_uninterrupted_run(tmp_path, saved):
    options = {**SMALL, **small_tokens(spelling="none")}
    gatewise.train("classify", data=labelled_texts(tmp_path, 40), out=tmp_path / "run", **options)
    of_epochs = [
        copy
        for copy in saved
        if state_file.read_state(copy / "state.ckpt")["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"]
    ]
    assert len(of_epochs) == options["epochs"]
    check_resumed(tmp_path / "run", [*of_epochs[:2], saved[1], saved[-3]])


def train_or_resume(config, run):
    """In a process of its own, which saves as often as it can."""
    state_file.SAVE_EVERY_SECONDS = 0.02
    torch.set_num_threads(1)
    if (run / "run.json").exists():
        resume(run)
    else:
        gatewise.train("lm", config=config, out=run)


def test_a_killed_process_continues_with_the_same_losses(tmp_path):
    options = small_options(tmp_path, epochs=40, patience=40)
    (tmp_path / "config.toml").write_text(to_toml(options))
    run, whole = tmp_path / "killed", tmp_path / "whole"

    def rows(run):
        path = run / "metrics.csv"
        return path.read_text().count("\n") if path.exists() else 0

    random_rows = random.Random(os.urandom(8))
    for _ in range(2):
        process = Forked(train_or_resume, tmp_path / "config.toml", run)
        enough = rows(run) + random_rows.randrange(1, 40)
        while process.poll() is None and rows(run) < enough:
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    before = rows(run)
    resume(run)
    gatewise.train("lm", config=tmp_path / "config.toml", out=whole)
    assert before < rows(whole)
    assert losses(run) == losses(whole)


def test_a_run_killed_before_the_first_save_begins_again(tmp_path):
    train_small(tmp_path)
    shutil.copytree(tmp_path / "run", tmp_path / "early")
    for name in ("state.ckpt", "scores.json", "weights.safetensors"):
        (tmp_path / "early" / name).unlink()
    resume(tmp_path / "early")
    assert losses(tmp_path / "early") == losses(tmp_path / "run")


def test_control_c_saves_and_the_run_continues(tmp_path, monkeypatch, capsys):
    step = training.LanguageModelModule.training_step

    def interrupted_step(self, batch, batch_idx):
        if self.global_step == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, batch_idx)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(training.LanguageModelModule, "training_step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        train_small(tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler
    assert capsys.readouterr().err.endswith(f"stopped; to resume: gatewise train lm --resume {tmp_path / 'run'}\n")
    assert len(losses(tmp_path / "run")) == 1 + 3
    assert (tmp_path / "run" / "plot.png").exists()
    monkeypatch.setattr(training.LanguageModelModule, "training_step", step)
    resume(tmp_path / "run")
    train_small(tmp_path, out=tmp_path / "whole")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_time_spent_before_a_resume_counts(tmp_path, capsys):
    trained = train_small(tmp_path, max_minutes=1e-4, epochs=3, schedule="constant")
    run = trained.folder
    assert json.loads(run.scores.read_bytes())["ended_by"] == "max_minutes"
    stopped = losses(run.path)
    assert stopped[-1][-1]  # the best weights so far have a held-out score
    resume(run.path)
    assert len(losses(run.path)) <= len(stopped)
    resume(run.path, max_minutes=1.0)
    train_small(tmp_path, epochs=3, schedule="constant", out=tmp_path / "whole")
    assert losses(run.path) == losses(tmp_path / "whole")
    assert json.loads(run.scores.read_bytes())["ended_by"] == "epochs"


def test_a_run_that_has_ended_is_left_alone(tmp_path, capsys):
    run = train_small(tmp_path).folder
    before = {path: path.stat().st_mtime_ns for path in run.path.iterdir()}
    resume(run.path)
    assert {path: path.stat().st_mtime_ns for path in run.path.iterdir()} == before
    assert "training already finished; nothing to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state: state.write_bytes(state.read_bytes()[:-100]), "not the training state of a run, or a corrupt"),
        (lambda state: state.write_bytes(b""), "not the training state of a run, or a corrupt"),
        (
            lambda state: torch.save({"format": "gatewise-state", "version": 2}, state),
            "expected gatewise-state version 1",
        ),
        (lambda state: torch.save({"weights": 1}, state), "not the training state of a run"),
    ],
)
def test_a_corrupt_or_foreign_state(tmp_path, spoil, message):
    run = train_small(tmp_path).folder
    run.scores.unlink()
    spoil(run.state)
    with pytest.raises(ValueError, match=re.escape(f"{run.state}: {message}")):
        resume(run.path)


def test_fewer_epochs_than_were_made(tmp_path):
    run = train_small(tmp_path, epochs=4, schedule="constant").folder
    run.scores.unlink()
    run.config.write_text(re.sub("epochs = .*", "epochs = 1", run.config.read_text()))
    message = f"epochs: the run has made 3 epochs already ({run.state}), got 1"
    with pytest.raises(ValueError, match=re.escape(message)):
        resume(run.path)


def test_changed_data(tmp_path):
    run = train_small(tmp_path).folder
    run.scores.unlink()
    (tmp_path / "text.txt").write_text("another text " * 100)
    with pytest.raises(ValueError, match="the data has changed since the run began"):
        resume(run.path)
