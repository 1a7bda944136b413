"""Missing values of features: an error, or masked."""

import json
import math
import random
import re

import numpy as np
import pytest
import torch

import gatewise
from gatewise.data.categories import Categories
from gatewise.data.scaling import Scaling
from gatewise.data.sequence_store import SequenceWriter
from gatewise.tasks.examples import read_examples
from gatewise.tasks.feature_reader import FeatureReader
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.pipeline import NumericPipeline
from tests.tasks.small_sequences import SMALL

MASK = {**SMALL, "missing": "mask", "lr": 0.05}


def gaps(folder, count=60, label=True):
    """Sequences whose label is whether their second feature is missing at some step, and nothing else."""
    draw = random.Random(0)
    path = folder / "gaps.jsonl"
    with path.open("w") as file:
        for number in range(count):
            steps = [[draw.gauss(5, 2), draw.gauss(0, 1)] for _ in range(draw.randrange(2, 6))]
            if number % 2:
                steps[-1][1] = None
            row = {"steps": steps, **({"label": "gap" if number % 2 else "whole"} if label else {})}
            file.write(json.dumps(row) + "\n")
    return path


def store(*sequences):
    writer = SequenceWriter()
    for steps in sequences:
        writer.add(np.array(steps, float), [])
    return writer.finish().sequences()


def test_where_a_value_is_missing_is_read_beside_the_mean(tmp_path):
    sequences = store([[1, 10], [3, None]], [[5, 30]])
    reader = FeatureReader.learn(NumericOptions(missing="mask"), sequences)
    assert reader.scaling.missing == [1]
    (inputs,), lengths = reader.batch(sequences)
    assert (inputs.shape, lengths.tolist()) == ((2, 2, 3), [2, 1])
    deviation = math.sqrt(8 / 3)
    # The mean and deviation of the second feature are those of 10 and 30.
    expected = [[[-2 / deviation, -1, 0], [2 / deviation, 1, 0]], [[0, 0, 1], [-3 / deviation, -2, 0]]]
    assert inputs[:, :, :].tolist()[0] == [pytest.approx(row) for row in expected[0]]
    assert inputs[1, 0].tolist() == pytest.approx(expected[1][0])
    assert reader.width == 3
    assert reader.columns(["a", "b"]) == {"a": [0], "b": [1, 2]}
    assert reader.summary(["a", "b"]) == ["features of a step: 2", "features with missing values: 1 (b)"]


def test_the_indicator_is_learned_from(tmp_path):
    trained = gatewise.train("numeric", data=gaps(tmp_path), out=tmp_path / "run", **{**MASK, "epochs": 20})
    assert trained.final_scores()["held_out"]["accuracy"] == 1.0
    assert gatewise.load(tmp_path / "run").evaluate() == trained.final_scores()
    gap, whole, nan = trained.predict([[[5, 0], [5, None]], [[5, 0], [5, 0]], [[5, 0], [5, math.nan]]])
    assert (gap.label, whole.label) == ("gap", "whole")
    assert nan == gap
    (row,) = (json.loads(line) for line in trained.predict_files([write(tmp_path, [[5, 0], [5, None]])]))
    assert row["label"] == "gap"
    # A feature is erased with its indicator.
    found = trained.inspect([[5, 0], [5, None]], out=tmp_path / "report.html")
    assert found.features == ["1", "2"]
    assert found.feature_contributions[0, 1] > found.feature_contributions[0, 0].abs()
    with pytest.raises(
        ValueError, match="the sequences: sequence 1: step 1: feature 1 is missing, which it never is in the training"
    ):
        list(trained.predict_files([write(tmp_path, [[None, 0], [5, 1]])]))
    with pytest.raises(ValueError, match="step 2: feature 1 is missing, which it never is in the training data"):
        trained.predict([[[1, 0], [None, 1]]])


def write(folder, *sequences):
    path = folder / "more.jsonl"
    path.write_text("".join(json.dumps({"steps": steps}) + "\n" for steps in sequences))
    return path


def test_without_the_option_they_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"line 2: expected a finite number, got None; --missing mask reads missing"):
        gatewise.train("numeric", data=gaps(tmp_path), out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("values", ["real", "binary"])
def test_features_that_are_missing_in_the_next_step_have_no_loss(tmp_path, values):
    draw = random.Random(1)
    rows = [[[draw.randrange(2), draw.choice([0, 1, None])] for _ in range(4)] for _ in range(30)]
    path = write(tmp_path, *rows)
    options = {**MASK, "epochs": 1, "predict": "next", **({"values": values} if values == "binary" else {})}
    trained = gatewise.train("numeric", data=path, valid=path, out=tmp_path / "run", **options)
    errors, before, loss, steps = [], [], 0.0, 0
    mean = [step[1] for row in rows for step in row if step[1] is not None]
    mean = 0 if values == "binary" else sum(mean) / len(mean)
    for row in rows:
        for end in range(1, len(row)):
            steps += 1
            (found,) = trained.predict([row[:end]])
            for value, true, last in zip(found.values, row[end], row[end - 1], strict=True):
                if true is not None:
                    errors.append(abs(value - true))
                    before.append(abs((mean if last is None else last) - true))
                    loss -= math.log(value if true else 1 - value) if values == "binary" else 0
    scores = trained.final_scores()["valid"]
    if values == "binary":
        assert scores["nats_per_step"] == pytest.approx(loss / steps, rel=1e-4)
    else:
        assert scores["mae"] == pytest.approx(sum(errors) / len(errors), rel=1e-4)
        assert scores["baseline_mae"] == pytest.approx(sum(before) / len(before), rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_some_missing_value_of_a_feature_is_left_to_learn_from(tmp_path, seed):
    path = write(tmp_path, *[[[0, 1]]] * 5, [[None, 1]])
    options = NumericOptions(data=(path,), predict="next", missing="mask", held_out=0.5, seed=seed)
    assert any(example.missing == [0] for example in read_examples(options, NumericPipeline.data(options)).training)


def test_a_batch_of_any_precision_has_no_nan():
    sequences = store([[1, None]], [[None, 2], [3, 4]])
    for precision, dtype in (("32", torch.float32), ("64", torch.float64)):
        options = NumericOptions(precision=precision)
        reader = FeatureReader(options, Scaling([0, 0], [1, 1], [0, 1]), Categories({}))
        (inputs,), _ = reader.batch(sequences)
        assert inputs.dtype == dtype
        assert not inputs.isnan().any()
        assert inputs[0].tolist() == [[1, 0, 0, 1], [0, 2, 1, 0]]


def test_a_feature_without_any_value_is_an_error(tmp_path):
    path = write(tmp_path, *[[[0, None]]] * 20)
    with pytest.raises(ValueError, match=re.escape("feature 2 has no value in the training data; leave it out")):
        gatewise.train("numeric", data=path, predict="next", out=tmp_path / "run", **MASK)
