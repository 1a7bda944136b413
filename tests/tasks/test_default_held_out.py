"""What is held out where no share is given: a share of little data, a number of rows or characters of much."""

import re

import pytest

import gatewise
from gatewise.data.splitting import DefaultShare
from tests.tasks.small import TEXT
from tests.tasks.small_sequences import (
    SMALL,
    labelled_texts,
    numeric_sequences,
    reversed_words,
    small_tokens,
    tagged_words,
)


def text(folder):
    (folder / "text.txt").write_text(TEXT)
    return folder / "text.txt"


TASKS = {
    "classify": (labelled_texts, {**SMALL, **small_tokens(spelling="none")}, "examples"),
    "tag": (tagged_words, {**SMALL, **small_tokens(spelling="none")}, "sentences"),
    "seq2seq": (reversed_words, {**SMALL, "embedding_size": 6, "unit": "char"}, "pairs"),
    "numeric": (lambda folder: numeric_sequences(folder, "sequence"), SMALL, "sequences"),
    "lm": (text, {"hidden": 4, "batch": 2, "window": 8}, "tokens"),
}


@pytest.mark.parametrize("task", TASKS)
def test_no_more_than_a_number_unless_a_share_is_given(tmp_path, task, monkeypatch, capsys):
    write, options, unit = TASKS[task]
    data = write(tmp_path)

    def train(name, **changes):
        out = tmp_path / name
        trained = gatewise.train(task, data=data, out=out, **{**options, "epochs": 1, **changes})
        scores = trained.final_scores()
        assert trained.evaluate() == scores
        return scores["held_out"][unit], capsys.readouterr().err

    monkeypatch.setattr(DefaultShare, "most", 4)
    count, said = train("few")
    assert count == (3 if task == "lm" else 4)  # nothing predicts the first character
    assert re.search(r"^held out: 4 of \d+ (rows|pairs|characters), as (10|5) % would be more", said, re.MULTILINE)
    count, said = train("more", held_out=0.3)
    assert count > 4
    assert "would be more" not in said
    with pytest.raises(ValueError, match="held_out: has no effect: valid names"):
        train("both", held_out=0.3, valid=data)
