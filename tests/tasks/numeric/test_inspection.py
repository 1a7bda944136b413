"""A model of numbers watched: contributions of steps and features, against predictions without them."""

import json
import math
import re

import pytest
import torch

import gatewise
from gatewise.formatting import format_number
from gatewise.tasks.inspected import InspectionRequest
from tests.tasks.small_sequences import SMALL, numeric_sequences

SEQUENCE = [[10.0, 0.3], [11.0, -0.2], [12.0, 0.1], [13.0, 0.4]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each kind by name, and the folder of its data."""
    folder = tmp_path_factory.mktemp("inspection")
    kinds = {
        "sequence": ("sequence", {"pooling": "last"}),
        "steps": ("steps", {"predict": "steps"}),
        "next": ("sequence", {"predict": "next"}),
        "binary": ("binary", {"predict": "next", "values": "binary"}),
    }
    return folder, {
        name: gatewise.train("numeric", data=numeric_sequences(folder, kind), out=folder / name, **{**SMALL, **changes})
        for name, (kind, changes) in kinds.items()
    }


def erased(model, sequence, step=None, feature=None):
    """The sequence with the mean of the training data in place of a step or of a feature."""
    scaling = model.reader.scaling
    return [
        [
            float(scaling.means[position]) if index == step or position == feature else value
            for position, value in enumerate(features)
        ]
        for index, features in enumerate(sequence)
    ]


def check(found, value, model, sequence):
    """A contribution is the difference that erasing makes to a prediction."""
    whole = value(sequence)
    for step in range(len(sequence)):
        without = value(erased(model, sequence, step=step))
        expected = [a - b for a, b in zip(whole, without, strict=True)]
        assert found.contributions[:, step].tolist() == pytest.approx(expected, abs=1e-4)
    for feature in range(len(sequence[0])):
        without = value(erased(model, sequence, feature=feature))
        expected = [a - b for a, b in zip(whole, without, strict=True)]
        assert found.feature_contributions[:, feature].tolist() == pytest.approx(expected, abs=1e-4)


def log_odds(probability):
    return math.log(probability / (1 - probability))


def test_a_label_of_a_sequence(runs, tmp_path):
    _, trained = runs
    model = trained["sequence"]
    found = model.inspect(SEQUENCE, features=["speed", "noise"], out=tmp_path / "report.html")
    assert (found.predictions, list(found.tokens), found.features, found.of_steps) == (
        ["up"],
        [1, 2, 3, 4],
        ["speed", "noise"],
        False,
    )
    assert (found.unit, found.values) == (
        "probability",
        [pytest.approx(model.predict([SEQUENCE])[0].probability, rel=1e-5)],
    )
    check(found, lambda rows: [log_odds(model.predict([rows])[0].probabilities["up"])], model, SEQUENCE)
    assert found.feature_contributions[0].argmax() == 0
    assert len(found.trace.gradient_flow()["recurrent.l0.h"]) == 4
    assert float(found.trace.gradient_flow()["recurrent.l0.h"].min()) > 0
    by_steps, by_features = shown_in(tmp_path / "report.html")["changes"]
    assert (by_steps["causes"], by_features["causes"]) == (["1", "2", "3", "4"], ["speed", "noise"])
    assert (
        by_steps["predictions"] == by_features["predictions"] == [f"up: probability {format_number(found.values[0])}"]
    )
    assert all(parameter.grad is None for parameter in model.model.parameters())


def test_a_label_of_each_step(runs, tmp_path):
    _, trained = runs
    model = trained["steps"]
    found = model.inspect(SEQUENCE, steps=3, out=tmp_path / "report.html")
    assert found.predictions == model.predict([SEQUENCE[:3]])[0].labels
    assert (list(found.tokens), found.features, found.of_steps) == ([1, 2, 3], ["1", "2"], True)

    def value(rows):
        (x,), lengths = model.reader.batch(model._stored([rows]))
        with torch.no_grad():
            message = model.model((x,), lengths)[:, 0].double().softmax(-1)
        return [
            log_odds(float(row[model.head.tags.labels.number(name)]))
            for row, name in zip(message, found.predictions, strict=True)
        ]

    check(found, value, model, SEQUENCE[:3])
    assert [log_odds(probability) for probability in found.values] == pytest.approx(value(SEQUENCE[:3]), abs=1e-5)
    assert (
        f'"step 2: {found.predictions[1]}, probability {format_number(found.values[1])}"'
        in (tmp_path / "report.html").read_text()
    )


def test_the_next_step_in_the_units_of_the_data(runs, tmp_path):
    _, trained = runs
    model = trained["next"]
    found = model.inspect(SEQUENCE, features=["speed", "noise"], out=tmp_path / "report.html")
    assert (found.predictions, found.unit) == (["speed", "noise"], "value")
    assert found.values == pytest.approx(model.predict([SEQUENCE])[0].values)
    check(found, lambda rows: model.predict([rows])[0].values, model, SEQUENCE)


def test_the_next_step_of_binary_features(runs, tmp_path):
    _, trained = runs
    model = trained["binary"]
    sequence = [[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]
    found = model.inspect(sequence, out=tmp_path / "report.html")
    assert (found.predictions, found.unit) == (["1", "2"], "probability")
    assert found.values == pytest.approx(model.predict([sequence])[0].values)
    check(found, lambda rows: list(map(log_odds, model.predict([rows])[0].values)), model, sequence)


def test_a_sequence_of_a_file_and_the_names_of_its_features(runs, tmp_path):
    folder, trained = runs
    model = trained["sequence"]
    first, second = (json.loads(line)["steps"] for line in (folder / "sequence.jsonl").read_text().splitlines()[:2])
    out = tmp_path / "report.html"
    found = model.inspect_requested(InspectionRequest(data=folder / "sequence.jsonl", sequence=2, out=out))
    assert found.features == ["1", "2"]
    assert torch.equal(found.contributions, model.inspect(second, out=out).contributions)
    rows = "".join(f"a,{speed!r},{noise!r}\n" for speed, noise in first)
    (tmp_path / "rows.csv").write_text("sequence,speed,noise\n" + rows)
    found = gatewise.inspect(folder / "sequence", data=tmp_path / "rows.csv", out=out)
    assert found.features == ["speed", "noise"]
    assert torch.equal(found.contributions, model.inspect(first, out=out).contributions)


@pytest.mark.parametrize(
    ("name", "ask", "message"),
    [
        ("sequence", lambda model, _: model.inspect([]), "the sequence has no steps; at least 1 is needed"),
        (
            "sequence",
            lambda model, _: model.inspect(SEQUENCE, steps=0),
            "steps: expected a number of tokens",
        ),
        ("sequence", lambda model, _: model.inspect([[1.0]]), "expected 2 features at each step, as in training"),
        ("next", lambda model, _: model.inspect(SEQUENCE[:1]), "the sequence has one step; at least 2 are needed"),
        (
            "sequence",
            lambda model, index: model.inspect_requested(InspectionRequest(data=index / "sequence.jsonl", sequence=61)),
            "from 1 to 60, got",
        ),
        (
            "sequence",
            lambda model, index: model.inspect_requested(InspectionRequest(data=index / "sequence.jsonl", sequence=0)),
            "from 1 to 60, got",
        ),
    ],
)
def test_what_cannot_be_inspected(runs, name, ask, message):
    folder, trained = runs
    with pytest.raises(ValueError, match=message):
        ask(trained[name], folder)


def shown_in(page):
    found = re.search(
        r'<script id="data" type="application/json">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL
    )
    return json.loads(found[1])


def test_the_report_names_run_data_and_date_and_its_lines(runs, tmp_path):
    folder, models = runs
    models["binary"].inspect(
        json.loads((folder / "binary.jsonl").read_text().splitlines()[0])["steps"], out=tmp_path / "r.html"
    )
    data = shown_in(tmp_path / "r.html")
    assert data["title"] == "binary"
    facts = dict(data["facts"])
    assert facts["task"] == "numeric"
    assert facts["data"].endswith("binary.jsonl")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", facts["trained"])
    of_steps, of_features = data["changes"]
    assert of_features["causes"] == ["feature 1", "feature 2"]
    assert (of_steps["timed"], of_features["timed"]) == (True, False)
    for text in (of_steps, of_features):
        assert all(re.fullmatch(r"feature \d: probability [\d.]+", name) for name in text["predictions"])
    models["sequence"].inspect(SEQUENCE, out=tmp_path / "r.html")
    assert re.fullmatch(r"(up|down): probability [\d.]+", shown_in(tmp_path / "r.html")["changes"][0]["predictions"][0])
