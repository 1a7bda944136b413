"""A run ends at its limit of time, with its schedule at the end; by a clock that steps move, not the time."""

import csv
import dataclasses
from types import SimpleNamespace

import pytest
from lightning.pytorch.callbacks import timer

from gatewise.tasks import train_run
from gatewise.tasks.language_model import scores as lm_scores
from gatewise.tasks.language_model import trained as lm_trained
from gatewise.tasks.language_model.training import TASK, LanguageModelModule
from gatewise.tasks.task import Task
from gatewise.tasks.time_limit import Trial
from gatewise.tasks.train_run import start
from tests.tasks.small import small_options

CLOSING = 2  # seconds that are left for what ends a run


@pytest.fixture
def clock(monkeypatch):
    """A step takes a second, a batch of held-out data ten, final scores ten; twenty are gone when training begins."""
    fake = SimpleNamespace(now=20.0)

    def takes(seconds, function):
        def slow(*args, **kwargs):
            fake.now += seconds
            return function(*args, **kwargs)

        return slow

    for name, seconds in (("training_step", 1), ("validation_step", 10)):
        monkeypatch.setattr(LanguageModelModule, name, takes(seconds, getattr(LanguageModelModule, name)))
    monkeypatch.setattr(lm_trained, "score_text", takes(10, lm_trained.score_text))
    monkeypatch.setattr(timer, "time", SimpleNamespace(monotonic=lambda: fake.now))
    return fake


def rates(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row["learning_rate"]) for row in csv.DictReader(file) if row["learning_rate"]]


def minutes(seconds):
    return seconds / 60


def test_the_limit_holds_with_reading_and_all_scores_and_the_cosine_falls_with_it(tmp_path, clock):
    options = small_options(tmp_path, epochs=40, patience=40, lr=1.0, max_minutes=minutes(83))
    trained = start(TASK, options, began_at=0.0)
    assert trained.folder.read_scores()["ended_by"] == "max_minutes"
    # A trial batch, two epochs of 4 steps and three steps of the third, three times validated, the final scores.
    assert clock.now == 20 + 10 + 11 + 30 + 10 == 83 - CLOSING
    found = rates(tmp_path / "run")
    assert len(found) == 11
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.01


def test_no_step_is_begun_whose_score_would_come_too_late(tmp_path, clock):
    start(TASK, small_options(tmp_path, epochs=40, patience=40, max_minutes=minutes(75)), began_at=0.0)
    assert len(rates(tmp_path / "run")) == 8
    assert clock.now == 20 + 10 + 8 + 20 + 10


def ten_batches(monkeypatch):
    monkeypatch.setattr(lm_scores, "_WINDOW", 8)  # of 81 characters held out
    monkeypatch.setattr(lm_trained, "_MIN_TOKENS", 20)


def test_a_run_whose_time_goes_by_before_training_takes_a_step_and_scores_a_little(
    tmp_path, clock, monkeypatch, capsys
):
    ten_batches(monkeypatch)
    trained = start(TASK, small_options(tmp_path, epochs=40, max_minutes=minutes(6)), began_at=0.0)
    assert len(rates(tmp_path / "run")) == 1
    assert clock.now == 20 + 30 + 1 + 10 + 10
    assert trained.final_scores()["held_out"]["tokens"] == 19
    message = capsys.readouterr().err
    assert "warning: the time is nearly up: 1 of 10 batches of the held-out data are validated\n" in message
    assert "warning: the time is up: about 0 % of the data is scored; gatewise evaluate scores all\n" in message


def test_the_first_validation_and_the_final_scores_share_the_time_that_is_left(tmp_path, clock, monkeypatch, capsys):
    ten_batches(monkeypatch)
    # 54 seconds are gone after the first epoch; 100 would be needed for all batches, and 100 for final scores.
    monkeypatch.setattr(lm_trained, "score_text", lambda model, vocabulary, text: {"characters": len(text)})
    trained = start(TASK, small_options(tmp_path, epochs=40, max_minutes=minutes(54 + CLOSING + 100)), began_at=0.0)
    assert "warning: the time is nearly up: 5 of 10 batches of the held-out data" in capsys.readouterr().err
    assert len(rates(tmp_path / "run")) == 4
    assert clock.now == 54 + 50
    assert trained.final_scores()["held_out"]["characters"] == 81 // 2


def test_with_enough_time_everything_is_validated_and_scored(tmp_path, clock, monkeypatch, capsys):
    ten_batches(monkeypatch)
    trained = start(TASK, small_options(tmp_path, epochs=1, max_minutes=minutes(1000)), began_at=0.0)
    assert trained.final_scores()["held_out"]["tokens"] == 80
    assert "warning" not in capsys.readouterr().err


def test_steps_that_take_longer_than_foreseen_are_not_validated(tmp_path, clock, monkeypatch, capsys):
    step = LanguageModelModule.training_step

    def slow(self, batch, batch_idx):
        clock.now += 100 * (self.global_step == 5)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(LanguageModelModule, "training_step", slow)
    trained = start(TASK, small_options(tmp_path, epochs=40, max_minutes=minutes(130)), began_at=0.0)
    assert len(rates(tmp_path / "run")) == 6
    message = capsys.readouterr().err
    assert message.count("\nepoch ") == 1
    assert "warning: the time is up: the last steps are not validated" in message
    assert trained.folder.weights.exists()


def test_time_to_search_for_answers_is_tried_and_kept(tmp_path, clock):
    def some():
        clock.now += 3

    def prepare(options, folder):
        return dataclasses.replace(TASK.prepare(options, folder), search=Trial(some, 10))

    options = small_options(tmp_path, epochs=40, patience=40, max_minutes=minutes(150))
    start(Task(prepare, TASK.load), options, began_at=0.0)
    assert len(rates(tmp_path / "run")) == 16
    assert clock.now == 20 + 10 + 3 + 4 * (4 + 10 + 3) + 10
    assert clock.now + 30 <= 150 - CLOSING


def test_time_before_a_resume_counts_for_limit_and_schedule(tmp_path, clock, capsys):
    options = small_options(tmp_path, epochs=40, patience=40, lr=1.0, max_minutes=minutes(83))
    first = start(TASK, options, began_at=0.0)
    run = first.folder.path
    scores = first.folder.scores.read_bytes()
    train_run.resume(TASK, run, began_at=clock.now)
    assert len(rates(run)) == 11
    assert first.folder.scores.read_bytes() == scores
    assert "no step was made; the scores are as before" in capsys.readouterr().err
    clock.now = 1000.0
    train_run.resume(TASK, run, 3.0, began_at=990.0)
    found = rates(run)
    used = 61  # of the 180 seconds at the last step that was saved
    assert 990 + 180 - used - 15 < clock.now <= 990 + 180 - used - CLOSING
    assert found[-1] < 0.02
