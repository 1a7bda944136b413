"""What a terminal shows while a model trains."""

import io

from gatewise.tasks import progress
from tests.tasks.small import train_small


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_shows_loss_measure_norm_speed_and_time_left(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    train_small(tmp_path, epochs=3)
    bars = [part for part in terminal.getvalue().replace("\n", "\r").split("\r") if "%|" in part and "loss" in part]
    assert bars
    assert bars[-1].startswith(("100%|", " 92%|"))
    for part in ("loss ", " bits per character, gradient norm ", " characters/s, ", " left"):
        assert part in bars[-1]
    lines = [line for line in terminal.getvalue().splitlines() if "epoch 2: held-out" in line]
    assert len(lines) == 1


def test_without_a_terminal_there_is_a_line_per_epoch_and_no_bar(tmp_path, capsys):
    train_small(tmp_path, epochs=3, unit="word", window=20)
    told = capsys.readouterr().err
    assert "%|" not in told
    lines = [line for line in told.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1", "epoch 2", "epoch 3"]
    assert " perplexity, gradient norm " in lines[0]
    assert " words/s, " in lines[0]
    assert lines[-1].endswith("0:00 left")


def test_without_a_terminal_a_long_epoch_has_lines_of_steps(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "SAY_EVERY_SECONDS", 0.0)
    train_small(tmp_path, epochs=1)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert [line.split(":")[0] for line in lines] == [f"step {number} of 4" for number in range(1, 5)]
    assert " bits per character, gradient norm " in lines[0]
    assert lines[0].endswith(" left")
