"""``watch`` of a training run: what is noted, and what is reported when training diverges."""

import csv
import re

import pytest
import torch

import gatewise
from gatewise.tasks import state_file
from gatewise.tasks.api import resume
from gatewise.tasks.language_model import training
from gatewise.tasks.sequence_module import SequenceModule
from tests.tasks.small import losses, train_small, train_until_a_step_breaks
from tests.tasks.small_sequences import SMALL, SMALL_TOKENS, labelled_texts, numeric_sequences, tagged_words


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_some_steps_are_noted(tmp_path):
    trained = train_small(tmp_path, layers=2, watch=2, clip_norm=1e-3)
    found = rows(trained.folder.path)
    assert [int(row["step"]) for row in found if row["loss"]] == list(range(1, 9))
    noted = [row for row in found if row["clipped"]]
    assert [int(row["step"]) for row in noted] == [1, 3, 5, 7]
    for row in noted:
        assert row["clipped"] == "1.0"
        for name in ("gradient.model.recurrent.l0.h", "gradient.model.recurrent.l1.c.first"):
            assert 0 < float(row[name]) < 1
        assert 0 <= float(row["saturated.model.recurrent.l1.f"]) <= 1
    assert {len(line.split(",")) for line in (trained.folder.path / "metrics.csv").read_text().splitlines()} == {
        9 + 1 + 2 * 2 * 3 + 2 * 4
    }


def test_training_is_the_same_when_it_is_watched(tmp_path):
    train_small(tmp_path, watch=1)
    train_small(tmp_path, out=tmp_path / "plain")
    watched = [[value for index, value in enumerate(row) if index < 8] for row in losses(tmp_path / "run")]
    assert watched == losses(tmp_path / "plain")


def test_a_resumed_run_continues_with_its_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    train_small(tmp_path, watch=2, out=tmp_path / "whole")
    train_until_a_step_breaks(4, tmp_path, watch=2)
    resume(tmp_path / "run")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


@pytest.mark.parametrize("watch", [None, 1, 100])
def test_the_first_loss_that_is_not_finite_names_layer_and_step(tmp_path, monkeypatch, watch):
    """A NaN in one time step of the input, at the fifth training step only, watched or not."""
    step = training.LanguageModelModule.training_step

    def spoil(self, batch, batch_idx):
        def nan_at_7(module, arguments, output):
            spoiled = output.clone()
            spoiled[7] = torch.nan
            return spoiled

        if self.global_step != 4:
            return step(self, batch, batch_idx)
        hook = self.model.embedding.register_forward_hook(nan_at_7)
        try:
            return step(self, batch, batch_idx)
        finally:
            hook.remove()

    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(training.LanguageModelModule, "training_step", spoil)
    message = (
        "training diverged at step 5: loss nan, gradient norm nan; the first output that is NaN or infinite is that of "
        "recurrent.l0 at time step 7; try a smaller lr, or clip_norm"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train_small(tmp_path, layers=2, watch=watch)
    monkeypatch.setattr(training.LanguageModelModule, "training_step", step)
    resume(tmp_path / "run")
    train_small(tmp_path, layers=2, watch=watch, out=tmp_path / "whole")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_the_step_that_is_run_once_more_is_the_same(tmp_path, monkeypatch):
    """With its dropout and the state that it began with."""
    step, outputs = training.LanguageModelModule.training_step, []

    def spoil(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        outputs.append(float(loss.detach()))
        return loss * torch.nan if self.global_step == 2 else loss

    monkeypatch.setattr(training.LanguageModelModule, "training_step", spoil)
    with pytest.raises(ValueError, match=r"the first gradient that is NaN or infinite is that of recurrent.l0 at time"):
        train_small(tmp_path)
    assert len(outputs) == 4
    assert outputs[3] == pytest.approx(outputs[2], rel=1e-6)


def test_a_read_out_that_overflows(tmp_path, monkeypatch):
    step = training.LanguageModelModule.training_step

    def spoil(self, batch, batch_idx):
        with torch.no_grad():
            self.model.b_y[0] = torch.inf
        return step(self, batch, batch_idx)

    monkeypatch.setattr(training.LanguageModelModule, "training_step", spoil)
    with pytest.raises(ValueError, match=r"training diverged at step 1: loss nan"):
        train_small(tmp_path)


TASKS = {
    "classify": (labelled_texts, SMALL_TOKENS),
    "tag": (tagged_words, {**SMALL_TOKENS, "output": "crf"}),
    "numeric": (lambda folder: numeric_sequences(folder, "sequence"), {}),
}


@pytest.mark.parametrize("task", TASKS)
def test_whole_sequences_are_watched_both_ways(tmp_path, task):
    data, options = TASKS[task]
    trained = gatewise.train(task, data=data(tmp_path), out=tmp_path / "run", watch=3, **SMALL, **options)
    noted = [row for row in rows(trained.folder.path) if row["clipped"]]
    columns = [name for name in noted[0] if name.startswith("gradient.")]
    directions = {"l0", "l0_reverse"}
    assert {name.split(".")[-3] for name in columns if name.endswith(".first")} == directions
    steps = [int(row["step"]) for row in rows(trained.folder.path) if row["loss"]]
    assert 0 < len(noted) < len(steps)
    for row in noted:
        assert all(0 <= float(row[name]) < 100 for name in columns)
        assert any(float(row[name]) > 0 for name in columns)


@pytest.mark.parametrize("task", TASKS)
def test_a_sequence_that_diverges_names_layer_and_step(tmp_path, monkeypatch, task):
    """A recurrent weight that is NaN."""
    step = SequenceModule.training_step

    def spoil(self, batch, batch_idx):
        if self.global_step == 2:
            with torch.no_grad():
                self.model.encoder.recurrent.weight_hh_l0[0, 0] = torch.nan
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SequenceModule, "training_step", spoil)
    data, options = TASKS[task]
    with pytest.raises(
        ValueError, match=r"diverged at step 3: .*; the first output .* is that of \S*l0 at time step 0;"
    ):
        gatewise.train(task, data=data(tmp_path), out=tmp_path / "run", **SMALL, **options)
