"""What a terminal shows while a model trains."""

import pytest

from gatewise.tasks.language_model.training import LanguageModelModule
from tests.shown import Stream, shown_on
from tests.tasks.small import train_small


def slowly(monkeypatch: pytest.MonkeyPatch, stream: Stream) -> None:
    """Every step waits until something was shown of the one before it."""
    for name in ("training_step", "validation_step"):
        step = getattr(LanguageModelModule, name)

        def waiting(self, batch, batch_idx, step=step):
            stream.wait()
            return step(self, batch, batch_idx)

        monkeypatch.setattr(LanguageModelModule, name, waiting)


def test_the_bar_shows_time_left_loss_with_its_unit_norm_speed_and_measure(tmp_path, monkeypatch):
    terminal = shown_on(Stream(terminal=True, columns=200), monkeypatch)
    slowly(monkeypatch, terminal)
    train_small(tmp_path, epochs=3)
    bars = [part for part in terminal.getvalue().replace("\n", "\r").split("\r") if "%|" in part]
    training = [bar for bar in bars if bar.startswith("training: ")]
    assert any(bar.startswith("training:  92%|") for bar in training)
    assert " left, loss " in training[-1]
    for part in (" nats/character, gradient norm ", " characters/s, bits per character ", " of 12"):
        assert part in training[-1]
    assert any(bar.startswith("validating: ") for bar in bars)
    lines = [line for line in terminal.getvalue().splitlines() if "epoch 2: held-out bits per character" in line]
    assert len(lines) == 1


def test_without_a_terminal_there_is_a_line_per_epoch_and_no_bar(tmp_path, capsys):
    train_small(tmp_path, epochs=3, unit="word", window=20)
    message = capsys.readouterr().err
    assert "%|" not in message
    lines = [line for line in message.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1", "epoch 2", "epoch 3"]
    assert lines[0].startswith("epoch 1: held-out perplexity ")
    assert "; training loss " in lines[0]
    assert " nats/word, gradient norm " in lines[0]
    assert " words/s, perplexity " in lines[0]
    assert lines[-1].endswith("0:00 left")


def test_without_a_terminal_a_long_epoch_and_its_validation_have_lines(tmp_path, monkeypatch):
    pipe = shown_on(Stream(terminal=False), monkeypatch)
    slowly(monkeypatch, pipe)
    train_small(tmp_path, epochs=1)
    lines = pipe.getvalue().splitlines()
    training = [line for line in lines if line.startswith("training: ") and "%" in line]
    assert training[0] == "training: 0%, step 1 of 4"
    assert any(line.startswith("training: 75%, ") and line.endswith("step 3 of 4") for line in training)
    assert any(line.startswith("validating: 0%") for line in lines)
