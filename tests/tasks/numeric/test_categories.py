"""Categorical columns beside the features of sequences of numbers."""

import json
import random
import re

import pyarrow.parquet
import pytest

import gatewise
from tests.tasks.small_sequences import SMALL

OPTIONS = {**SMALL, "categorical": ["colour"], "lr": 0.05}


def rows(count=60, first=0, colours=("red", "blue")):
    """Steps of sequences whose label is the colour of the last; the number is noise."""
    draw = random.Random(first)
    found = []
    for sequence in range(first, first + count):
        steps = [(draw.choice(colours), draw.gauss(0, 1)) for _ in range(draw.randrange(2, 5))]
        found += [
            {"sequence": f"s{sequence}", "colour": colour, "x": x, "label": f"ends {steps[-1][0]}"}
            for colour, x in steps
        ]
    return found


def table(path, steps):
    lines = ["sequence,colour,x,label", *(",".join(map(str, step.values())) for step in steps)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("categories")
    options = {**OPTIONS, "epochs": 25, "pooling": "last"}
    return gatewise.train("numeric", data=table(folder / "a.csv", rows()), out=folder / "run", **options)


def test_they_are_learned_from(trained):
    assert trained.final_scores()["held_out"]["accuracy"] == 1.0
    assert trained.options.feature_columns == ("x",)
    assert gatewise.load(trained.folder.path).evaluate() == trained.final_scores()
    weights = dict(trained.model.named_parameters())
    assert weights["steps.categories.0.embedding.weight"].shape == (3, 8)


def test_predictions_of_tables_and_lines(trained, tmp_path, capsys):
    found = trained.predict(rows(20, 100))
    assert [one.label for one in found] == [f"ends {colour}" for colour in last_colours(rows(20, 100))]
    answers = [json.loads(line) for line in trained.predict_files([table(tmp_path / "b.csv", rows(20, 100))])]
    assert [row["label"] for row in answers] == [one.label for one in found]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows(20, 100)), tmp_path / "b.parquet")
    assert trained.evaluate(tmp_path / "b.parquet") == trained.evaluate(tmp_path / "b.csv")
    lines = [
        {"steps": [[0.5], [0.1]], "colour": ["red", "blue"]},
        {"steps": [[0.5], [0.1]], "colour": "red"},
    ]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [trained.predict([line])[0].label for line in lines] == ["ends blue", "ends red"]
    assert [json.loads(line)["label"] for line in trained.predict_files([tmp_path / "c.jsonl"])] == [
        "ends blue",
        "ends red",
    ]
    assert "warning" not in capsys.readouterr().err


def last_colours(steps):
    return list({step["sequence"]: step["colour"] for step in steps}.values())


def test_unknown_values_are_counted_once(trained, tmp_path, capsys):
    more = table(tmp_path / "b.csv", rows(20, 100) + rows(3, 200, colours=("green",)))
    count = sum(step["colour"] == "green" for step in rows(3, 200, colours=("green",)))
    total = len(rows(20, 100)) + count
    list(trained.predict_files([more]))
    assert (
        capsys.readouterr().err.count(
            f"the sequences: values that are not in the training data: {count} of {total} of 'colour'; read as unknown"
        )
        == 1
    )


def test_they_are_erased_whole(trained, tmp_path):
    found = gatewise.inspect(trained.folder.path, data=table(tmp_path / "b.csv", rows(1, 100)), out=tmp_path / "r.html")
    assert found.features == ["x", "colour"]
    assert found.feature_contributions[0, 1] > found.feature_contributions[0, 0].abs()


def test_the_next_step_has_the_features_alone(tmp_path):
    data = table(tmp_path / "a.csv", rows())
    trained = gatewise.train("numeric", data=data, out=tmp_path / "run", **OPTIONS, predict="next")
    assert len(trained.predict(rows(1, 100))[0].values) == 1
    found = gatewise.inspect(trained.folder.path, data=data, out=tmp_path / "r.html")
    assert (found.predictions, found.features) == (["x"], ["x", "colour"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"steps": [[1]]}, "line 1: no 'colour'; expected its value at each step, or one for all"),
        ({"steps": [[1]], "colour": ["a", "b"]}, "line 1: 'colour': expected a value for each of 1 steps, got 2"),
        ({"steps": [[1]], "colour": [["a"]]}, "line 1: 'colour': expected text, a number or a date, got ['a']"),
    ],
)
def test_what_is_not_a_category(trained, tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match=re.escape(message)):
        list(trained.predict_files([tmp_path / "a.jsonl"]))


def test_lists_of_numbers_lack_them(trained):
    message = r"this model reads categorical columns \(colour\); give it files or a table with them"
    with pytest.raises(ValueError, match=message):
        trained.predict([[[1.0]]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categorical": ["label"]}, "categorical: column 'label' is named twice, or is not a categorical one too"),
        ({"categorical": ["x", "x"]}, "categorical: column 'x' is named twice"),
        ({"category_size": 3}, "category_size: has no effect: there are no columns in categorical"),
        ({"categorical": ["hue"]}, "no column 'hue'; its first line names 'sequence', 'colour', 'x', 'label'"),
    ],
)
def test_columns_that_cannot_be(tmp_path, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        gatewise.train("numeric", data=table(tmp_path / "a.csv", rows(4)), out=tmp_path / "run", **SMALL, **changes)
    assert not (tmp_path / "run").exists()
