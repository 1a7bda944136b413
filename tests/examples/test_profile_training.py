"""Where the time of training goes, as the example measures it."""

import sys

import pytest

from examples import profile_training
from tests.tasks.small_sequences import reversed_words


def test_shares_of_a_small_job(tmp_path, monkeypatch, capsys):
    data = ["--data", str(reversed_words(tmp_path)), "--unit", "word", "--hidden", "16", "--embedding-size", "8"]
    monkeypatch.setattr(sys, "argv", ["profile_training.py", "seq2seq", "--steps", "2", *data])
    profile_training.main()
    lines = [line.split("%  ") for line in capsys.readouterr().out.splitlines()]
    assert [name for _, name in lines] == ["recurrent kernels", "matrix products", "the rest"]
    shares = [float(share) for share, _ in lines]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert min(shares) > 0
