"""Several labels for a text, and a number."""

import csv
import io
import itertools
import json
import math
import random
import re

import pytest
import torch

import gatewise
from gatewise.data.labels import Labels
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.heads.label import LabelHead
from gatewise.tasks.heads.label_set import LabelSetHead
from gatewise.tasks.heads.number import Number, NumberHead
from tests.tasks.small_sequences import SMALL, labelled_texts, small_tokens

WORDS = {"sea": ["wave", "shore"], "sky": ["cloud", "star"], "war": ["sword"]}


def texts(folder, kind, count=100):
    """Texts whose words determine their labels, or what number: that of their waves less that of their clouds."""
    draw = random.Random(0)
    lines = ["text,label"]
    for _ in range(count):
        if kind == "labels":
            chosen = [label for label in WORDS if draw.random() < 0.4]
            words = [draw.choice(WORDS[label]) for label in chosen] + ["the", "a"]
            label = "; ".join(draw.sample(chosen, len(chosen)))
        else:
            words = [draw.choice(["wave", "cloud", "the"]) for _ in range(draw.randrange(1, 6))]
            label = str(1000 + 100 * (words.count("wave") - words.count("cloud")))
        draw.shuffle(words)
        lines.append(f"{' '.join(words)},{label}")
    path = folder / f"{kind}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def train(folder, data, target, **changes):
    options = {"out": folder / "run", **SMALL, **small_tokens(), "epochs": 20, "target": target, **changes}
    return gatewise.train("classify", data=data, **options)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    return train(folder, texts(folder, "labels"), "labels", label_separator=";")


@pytest.fixture(scope="module")
def number(tmp_path_factory):
    folder = tmp_path_factory.mktemp("number")
    return train(folder, texts(folder, "number"), "number")


def test_several_labels_are_learned(several):
    scores = several.final_scores()["held_out"]
    assert scores["micro_f1"] > 0.9
    assert scores["micro_f1"] > scores["baseline_micro_f1"]
    assert set(scores["per_label"]) == {"sea", "sky", "war"}
    assert gatewise.load(several.folder.path).evaluate() == several.final_scores()


def test_several_labels(several, tmp_path):
    both, none = several.predict(["the wave a star", "the a"])
    assert (both.labels, none.labels) == (["sea", "sky"], [])
    assert set(both.probabilities) == {"sea", "sky", "war"}
    (tmp_path / "a.txt").write_text("the wave a star\n\nthe a\n")
    rows = [json.loads(line) for line in several.predict_files([tmp_path / "a.txt"], probabilities=True)]
    assert [row["labels"] for row in rows] == ["sea;sky", None, ""]
    assert rows[0]["probabilities"] == pytest.approx(both.probabilities)
    table = list(csv.DictReader(io.StringIO("".join(several.predict_files([tmp_path / "a.txt"], "csv")))))
    assert table[0] == {"text": "the wave a star", "labels": "sea;sky"}
    found = several.inspect("the wave a star", out=tmp_path / "report.html")
    assert found.tokens == ["the", "wave", "a", "star"]
    with pytest.raises(ValueError, match="confusion matrices: are of a model that tells one label; target of this one"):
        several.confusion()


def test_a_number_is_learned(number, tmp_path):
    scores = number.final_scores()["held_out"]
    assert scores["r2"] > 0.6
    assert scores["mae"] < 0.7 * scores["baseline_mae"]
    assert scores["rmse"] >= scores["mae"]
    assert gatewise.load(number.folder.path).evaluate() == number.final_scores()
    high, low = number.predict(["wave wave wave", "cloud cloud cloud"])
    assert 1300 + 150 > high.value > 1050 > 950 > low.value > 550
    (tmp_path / "a.txt").write_text("wave wave wave\n\n")
    rows = [json.loads(line) for line in number.predict_files([tmp_path / "a.txt"])]
    assert rows == [{"text": "wave wave wave", "value": pytest.approx(high.value)}, {"text": "", "value": None}]
    assert not number.has_probabilities
    found = number.inspect("wave cloud", out=tmp_path / "report.html")
    assert (found.predictions, found.unit) == (["value"], "value")
    assert found.values == [pytest.approx(number.predict(["wave cloud"])[0].value, rel=1e-4)]
    assert found.contributions[0, 0] > 0 > found.contributions[0, 1]
    with pytest.raises(ValueError, match="probabilities: the predictions of this model are numbers"):
        assert found.probabilities
    with pytest.raises(ValueError, match="labels: are of a model that tells one label; target of this one is number"):
        assert number.labels


def test_scores_of_several_labels_by_hand():
    head = LabelSetHead.learn(ClassificationOptions(target="labels"), ["a,b", "a", "", "c"])
    logits = torch.tensor([[2.0, -1.0, -1.0], [1.0, 1.0, -3.0], [-1.0, -1.0, -1.0]])
    scores = head.scores_of([(logits, ["a, b", "a", "new"])])
    # Answered a; a and b; nothing: 2 of 3 answers right, of 4 true labels.
    assert scores["micro_f1"] == pytest.approx(2 * 2 / (3 + 4))
    assert scores["macro_f1"] == pytest.approx((1 + 0 + 0) / 3)
    assert scores["exact_match"] == 0
    assert scores["unknown_labels"] == 1
    assert scores["baseline_micro_f1"] == pytest.approx(2 * 2 / (3 + 4))
    signs = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0]]) * 2 - 1
    loss = (1 + (-signs * logits.double()).exp()).log().mean()
    assert scores["loss"] == pytest.approx(float(loss))
    assert scores["per_label"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_what_comes_of_a_batch_of_several_labels():
    head = LabelSetHead(Labels(["a", "b"]), ",", "a")
    logits = torch.tensor([[0.2, -1.0], [1.0, 1.0]])

    class Batch:
        inputs, lengths = (), None
        targets = torch.tensor(list(head.values(["a,new", "b"])))

    statistics = head.statistics_of(lambda inputs, lengths: logits, None, None)(Batch)
    assert (statistics.predictions, statistics.numerator, statistics.denominator) == (4, 2 * 2, 3 + 3)
    assert statistics.ratio == pytest.approx(head.scores_of([(logits, ["a,new", "b"])])["micro_f1"])
    assert statistics.loss == pytest.approx(head.scores_of([(logits, ["a,new", "b"])])["loss"])


def test_scores_of_a_number_by_hand():
    head = NumberHead.learn(None, ["1", "3"])  # mean 2, deviation 1
    scores = head.scores_of([(torch.tensor([[0.0], [2.0]]), ["1", "5"])])
    assert scores == pytest.approx(
        {
            "mae": 1.0,
            "rmse": 1.0,
            "r2": 1 - 2 / 8,
            "baseline_mae": 2.0,
            "baseline_rmse": math.sqrt(5),
        }
    )
    assert "r2" not in head.scores_of([(torch.tensor([[0.0], [2.0]]), ["1", "1"])])
    assert head.predictions(torch.tensor([[0.5]])) == [Number(2.5)]

    class Batch:
        inputs, lengths = (), None
        targets = torch.tensor(list(head.values(["1", "5"])))

    statistics = head.statistics_of(lambda inputs, lengths: torch.tensor([[0.0], [2.0]]), None, None)(Batch)
    assert (statistics.loss, statistics.ratio) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ("a,1\nb,high", {"target": "number"}, "line 3: expected a finite number, got 'high'"),
        ("a,1\nb,", {"target": "number"}, "line 3: expected a finite number, got ''"),
        ("a,1\nb,1\nc,1", {"target": "number"}, "the numbers to learn never change (1)"),
        ("a,\nb,\nc,", {"target": "labels"}, "the data to learn from has no label; is it the right column?"),
        ("a,x\nb,", {}, "line 3: the label is empty"),
        ("a,x\nb,y", {"label_separator": ";"}, "label_separator: has no effect: target is label, not labels"),
        ("a,x\nb,y", {"target": "labels", "label_separator": " "}, "label_separator: expected a character other than"),
        (
            "a,1\nb,2",
            {"target": "number", "class_weights": "balanced"},
            "class_weights: has no effect: target is number",
        ),
    ],
)
def test_what_cannot_be_learned(tmp_path, content, changes, message):
    (tmp_path / "a.csv").write_text(f"text,label\n{content}\n")
    options = {"out": tmp_path / "run", **SMALL, **small_tokens(), "held_out": 0.4, **changes}
    with pytest.raises(ValueError, match=re.escape(message)):
        gatewise.train("classify", data=tmp_path / "a.csv", **options)
    assert not (tmp_path / "run").exists()


def test_one_label_is_as_before(tmp_path):
    trained = train(tmp_path, labelled_texts(tmp_path), "label", epochs=3)
    assert trained.labels.names == ["bad", "good"]
    assert trained.confusion()["held_out"].shape == (2, 2)
    assert trained.predict(["great film"])[0]._fields == ("label", "probability", "probabilities")


SCORED = {
    "label": (LabelHead.learn(ClassificationOptions(), ["a", "b", "b"]), ["a", "b", "new", "b", "a"]),
    "labels": (
        LabelSetHead.learn(ClassificationOptions(target="labels"), ["a,b", "c"]),
        ["a", "", "b,c", "new", "a,c"],
    ),
    "number": (NumberHead.learn(None, ["1", "3"]), ["7", "2", "1e3", "-4", "2"]),
}


@pytest.mark.parametrize("kind", SCORED)
def test_scores_of_parts_are_those_of_the_whole(kind):
    head, written = SCORED[kind]
    logits = torch.randn(5, head.size, generator=torch.Generator().manual_seed(1))
    whole = head.scores_of([(logits, written)])
    for cuts in ([1], [2, 3], [1, 2, 3, 4]):
        ends = [0, *cuts, 5]
        parts = [(logits[start:end], written[start:end]) for start, end in itertools.pairwise(ends)]
        found = head.scores_of(iter(parts))
        per_label, expected = found.pop("per_label", None), dict(whole)
        assert per_label == expected.pop("per_label", None)
        assert found == pytest.approx(expected, rel=1e-12)


def test_numbers_that_are_all_the_same_have_no_r2_in_parts_either():
    head = NumberHead.learn(None, ["1", "3"])
    parts = [(torch.zeros(2, 1), ["0.1", "0.1"]), (torch.zeros(1, 1), ["0.1"])]
    assert "r2" not in head.scores_of(parts)
