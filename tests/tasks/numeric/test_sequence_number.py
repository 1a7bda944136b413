"""A number for each sequence of numbers."""

import json
import random
import re

import pytest

import gatewise
from tests.tasks.small_sequences import SMALL


def totals(folder, count=120, name="sums.jsonl", wrong=None):
    """Sequences with their sum."""
    draw = random.Random(0)
    rows = []
    for _ in range(count):
        steps = [[draw.gauss(0, 1), draw.gauss(0, 1)] for _ in range(draw.randrange(2, 6))]
        rows.append({"steps": steps, "label": 50 + 10 * sum(step[0] for step in steps)})
    if wrong is not None:
        rows[3]["label"] = wrong
    (folder / name).write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder / name


def train(folder, data=None, **changes):
    options = {"out": folder / "run", **SMALL, "epochs": 25, "predict": "number", **changes}
    return gatewise.train("numeric", data=data or totals(folder), **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("number"), pooling="last")


def test_it_is_learned(trained):
    scores = trained.final_scores()["held_out"]
    assert scores["r2"] > 0.6
    assert scores["mae"] < 0.7 * scores["baseline_mae"]
    assert set(scores) == {"sequences", "mae", "rmse", "r2", "baseline_mae", "baseline_rmse"}
    assert gatewise.load(trained.folder.path).evaluate() == trained.final_scores()
    assert (trained.folder.path / "plot.png").exists()


def test_predictions(trained, tmp_path):
    high, low = trained.predict([[[1.5, 0.0], [1.5, 0.0]], [[-1.5, 0.0], [-1.5, 0.0]]])
    assert high.value > 60 > 40 > low.value
    (tmp_path / "a.jsonl").write_text('{"steps": [[1.5, 0.0], [1.5, 0.0]]}\n')
    assert [json.loads(line) for line in trained.predict_files([tmp_path / "a.jsonl"])] == [
        {"value": pytest.approx(high.value)}
    ]
    assert "".join(trained.predict_files([tmp_path / "a.jsonl"], "csv")).startswith("value\n")
    found = trained.inspect([[1.5, 0.0], [1.5, 0.0]], out=tmp_path / "report.html")
    assert found.unit == "value"
    assert found.values == [pytest.approx(high.value, rel=1e-4)]
    assert not trained.has_probabilities


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("high", "expected a finite number, got 'high'"),
        ([1, 2], "expected one label for the sequence, got 1, 2"),
    ],
)
def test_malformed_numbers(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path, totals(tmp_path, wrong=wrong))
    assert not (tmp_path / "run").exists()


def test_options_of_labels_have_no_effect(tmp_path):
    with pytest.raises(ValueError, match="class_weights: has no effect: predict is number, which has no label"):
        train(tmp_path, class_weights="balanced")
