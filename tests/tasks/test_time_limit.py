"""A run ends at its limit of time, with its schedule at the end; by a clock that steps move, not the time."""

import csv
from types import SimpleNamespace

import pytest
from lightning.pytorch.callbacks import timer

from gatewise.tasks import running
from gatewise.tasks.language_model.training import TASK, LanguageModelModule
from gatewise.tasks.running import start
from tests.tasks.small import small_options


@pytest.fixture
def clock(monkeypatch):
    """A step takes a second, scoring ten; twenty are gone when training begins."""
    now = SimpleNamespace(at=20.0)
    step, scored = LanguageModelModule.training_step, LanguageModelModule.on_validation_epoch_end

    def slow_step(self, batch, batch_idx):
        now.at += 1
        return step(self, batch, batch_idx)

    def slow_scoring(self):
        now.at += 10
        scored(self)

    monkeypatch.setattr(LanguageModelModule, "training_step", slow_step)
    monkeypatch.setattr(LanguageModelModule, "on_validation_epoch_end", slow_scoring)
    monkeypatch.setattr(timer, "time", SimpleNamespace(monotonic=lambda: now.at))
    return now


def rates(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row["learning_rate"]) for row in csv.DictReader(file) if row["learning_rate"]]


def test_the_limit_holds_with_reading_and_scoring_and_the_cosine_falls_with_it(tmp_path, clock):
    trained = start(TASK, small_options(tmp_path, epochs=40, patience=40, lr=1.0, max_minutes=1), began_at=0.0)
    assert trained.folder.read_scores()["ended_by"] == "max_minutes"
    assert clock.at == 60  # two epochs of 4 steps, two steps of the third, three times scored
    found = rates(tmp_path / "run")
    assert len(found) == 10
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.01


def test_no_step_is_begun_whose_score_would_come_too_late(tmp_path, clock):
    start(TASK, small_options(tmp_path, epochs=40, patience=40, max_minutes=0.7), began_at=0.0)
    assert len(rates(tmp_path / "run")) == 4
    assert clock.at == 34  # of 42


def test_a_run_whose_time_goes_by_before_training_takes_a_step_and_is_scored(tmp_path, clock):
    trained = start(TASK, small_options(tmp_path, epochs=40, max_minutes=0.1), began_at=0.0)
    assert len(rates(tmp_path / "run")) == 1
    assert trained.folder.weights.exists()


def test_time_before_a_resume_counts_for_limit_and_schedule(tmp_path, clock):
    options = small_options(tmp_path, epochs=40, patience=40, lr=1.0, max_minutes=1)
    run = start(TASK, options, began_at=0.0).folder.path
    running.resume(TASK, run, began_at=clock.at)
    assert len(rates(run)) == 10
    clock.at = 1000.0
    running.resume(TASK, run, 2.0, began_at=990.0)
    found = rates(run)
    assert 990 + 70 - 15 < clock.at <= 990 + 70  # 50 of the 120 seconds were used at the last step that was saved
    assert found[-1] < 0.02
