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
    assert [line[2] for line in lines] == ["recurrent kernels", "matrix products", "both", "other operators"]
    for column in (0, 1):
        kernels, products, both, others = (float(line[column]) for line in lines)
        assert both == pytest.approx(kernels + products, abs=0.15)
        assert min(kernels, products, others) > 0
        if column == 0:
            assert both + others == pytest.approx(100, abs=0.15)
        else:
            assert both + others < 100  # Python has a part of the clock
