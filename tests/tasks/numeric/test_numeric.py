"""Sequences of numbers: labels of sequences, labels of steps, the next step."""

import csv
import json
import math
import re

import pytest
import torch

import gatewise
from gatewise.data.streams import NO_TARGET
from gatewise.tasks.examples import read_examples
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.pipeline import NumericPipeline
from gatewise.tasks.task import task_of
from tests.tasks.small_sequences import SMALL, numeric_sequences


def train(folder, kind, **changes):
    data = numeric_sequences(folder, kind)
    return gatewise.train("numeric", data=data, **{"out": folder / "run", **SMALL, "epochs": 15, **changes})


@pytest.mark.usefixtures("rendered")
def test_a_label_for_each_sequence(tmp_path):
    trained = train(tmp_path, "sequence", pooling="last")
    scores = trained.final_scores()["held_out"]
    assert scores["accuracy"] == 1.0 > scores["baseline_accuracy"]
    assert {score["f1"] for score in scores["per_label"].values()} == {1.0}
    assert sum(score["support"] for score in scores["per_label"].values()) == scores["sequences"]
    up, down = trained.predict([[[10.0, 0.0], [11.0, 0.0], [12.0, 0.0]], [[10.0, 0.0], [9.0, 0.0], [8.0, 0.0]]])
    assert (up.label, down.label) == ("up", "down")
    rows = [json.loads(line) for line in trained.predict_files([tmp_path / "sequence.jsonl"])]
    assert {row["label"] for row in rows} == {"up", "down"}
    assert list(rows[0]) == ["label", "probability"]
    (first, *_) = trained.predict_files([tmp_path / "sequence.jsonl"], probabilities=True)
    assert {**json.loads(first), "probabilities": None} == {**rows[0], "probabilities": None}
    assert sum(json.loads(first)["probabilities"].values()) == pytest.approx(1)
    head, row, *_ = trained.predict_files([tmp_path / "sequence.jsonl"], "csv", probabilities=True)
    assert head == "label,probability,probabilities_down,probabilities_up\n"
    assert row.startswith(rows[0]["label"])
    assert gatewise.load(tmp_path / "run").evaluate() == trained.final_scores()
    assert (tmp_path / "run" / "confusion_held_out.png").stat().st_size > 5_000


def test_features_are_read_by_their_names(tmp_path):
    rows = [(name, position * (1 if name < "c" else -1), position % 2) for name in "abcdef" for position in range(4)]
    label = {name: "up" if name < "c" else "down" for name in "abcdef"}
    for file, names in (("a", ("u", "v")), ("b", ("v", "u", "more"))):
        lines = [",".join(("sequence", *names, "label"))]
        for name, u, v in rows:
            values = {"u": u, "v": v, "more": 7}
            lines.append(",".join((name, *(str(values[one]) for one in names), label[name])))
        (tmp_path / f"{file}.csv").write_text("\n".join(lines) + "\n")
    files = {"data": tmp_path / "a.csv", "valid": tmp_path / "a.csv"}
    trained = gatewise.train("numeric", **files, out=tmp_path / "run", **{**SMALL, "epochs": 1})
    assert trained.options.feature_columns == ("u", "v")
    # Another order of columns, and one more.
    one, other = (trained.evaluate(tmp_path / f"{file}.csv") for file in "ab")
    assert one == other
    (tmp_path / "b.csv").write_text("sequence,u,w,label\na,1,1,up\n")
    with pytest.raises(ValueError, match="no column 'v'; its first line names 'sequence', 'u', 'w', 'label'"):
        trained.evaluate(tmp_path / "b.csv")


def test_tiny_features_are_learned_and_constant_ones_named(tmp_path, capsys):
    rows = [json.loads(line) for line in numeric_sequences(tmp_path, "sequence").read_text().splitlines()]
    (tmp_path / "tiny.jsonl").write_text(
        "".join(
            json.dumps({"steps": [[1e-20 * step[0], 5] for step in row["steps"]], "label": row["label"]}) + "\n"
            for row in rows
        )
    )
    options = {**SMALL, "epochs": 15, "pooling": "last"}
    trained = gatewise.train("numeric", data=tmp_path / "tiny.jsonl", out=tmp_path / "run", **options)
    assert trained.final_scores()["held_out"]["accuracy"] == 1.0
    assert "warning: never change in the training data: 2 (5)" in capsys.readouterr().err.splitlines()


def test_a_label_for_each_step(tmp_path):
    trained = train(tmp_path, "steps", predict="steps")
    scores = trained.final_scores()["held_out"]
    assert scores["accuracy"] > 0.9 > scores["baseline_accuracy"]
    assert sum(score["support"] for score in scores["per_label"].values()) == scores["steps"]
    assert trained.predict([[[10.0, 0.0], [11.0, 0.0]]])[0].labels == ["up", "up"]
    (tmp_path / "two.jsonl").write_text('{"steps": [[10, 0], [11, 0]]}\n{"steps": [[10, 0], [9, 0], [8, 0]]}\n')
    rows = [json.loads(line) for line in trained.predict_files([tmp_path / "two.jsonl"], probabilities=True)]
    assert [row["labels"] for row in rows] == [["up"] * 2, ["down"] * 3]
    table = list(csv.DictReader(trained.predict_files([tmp_path / "two.jsonl"], "csv", probabilities=True)))
    assert [(row["sequence"], row["step"], row["label"]) for row in table] == [
        ("1", "1", "up"),
        ("1", "2", "up"),
        *(("2", str(step), "down") for step in (1, 2, 3)),
    ]
    for cells, values in zip(table, [values for row in rows for values in row["probabilities"]], strict=True):
        assert max(values, key=values.__getitem__) == cells["label"]
        assert {name: float(cells[f"probabilities_{name}"]) for name in values} == pytest.approx(values)
        assert sum(values.values()) == pytest.approx(1)
    assert gatewise.load(tmp_path / "run").evaluate() == trained.final_scores()
    assert (tmp_path / "run" / "confusion_held_out.png").read_bytes().startswith(b"\x89PNG")
    rows = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    message = [label for found in trained.predict([row["steps"] for row in rows]) for label in found.labels]
    pairs = list(zip(message, [label for row in rows for label in row["label"]], strict=True))
    f1 = [
        2 * pairs.count((name, name)) / (message.count(name) + sum(true == name for _, true in pairs))
        for name in ("up", "down")
    ]
    scores = trained.evaluate(tmp_path / "steps.jsonl")["data"]
    assert scores["macro_f1"] == pytest.approx(sum(f1) / 2)
    assert scores["accuracy"] == pytest.approx(sum(one == true for one, true in pairs) / len(pairs))


@pytest.mark.parametrize(("kind", "predict"), [("sequence", "sequence"), ("steps", "steps")])
def test_labels_may_weigh_as_much_as_they_are_rare(tmp_path, kind, predict):
    data = (numeric_sequences(tmp_path, kind),)
    with data[0].open("a") as file:
        for _ in range(40):
            file.write(json.dumps({"steps": [[0, 0]], "label": ["none"] if kind == "steps" else "none"}) + "\n")
    losses = {}
    for weights in ("none", "balanced"):
        options = NumericOptions(data=data, predict=predict, class_weights=weights, hidden=8, batch=200)
        job = task_of("numeric").prepare(options, None)
        model = job.module.model.eval()
        (batch,) = job.training
        logits, targets = model(batch.inputs, batch.lengths), batch.targets
        if kind == "steps":
            logits, targets = logits[targets != NO_TARGET], targets[targets != NO_TARGET]
        each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        job.module.training_step(batch, 0).backward()
        job.module.on_after_backward()
        losses[weights] = job.module.loss
        means = [each[targets == label].mean() for label in range(3)]
        expected = each.mean() if weights == "none" else sum(means) / 3
        assert losses[weights] == pytest.approx(expected.item(), rel=1e-4)
    assert losses["none"] != pytest.approx(losses["balanced"], rel=1e-3)


def parts_of(path):
    return [json.loads(line)["steps"] for line in path.read_text().splitlines()]


def test_the_next_step_of_real_features_with_errors_in_the_units_of_the_data(tmp_path):
    trained = train(tmp_path, "sequence", predict="next", cell="gru_cudnn")
    assert not trained.options.bidirectional
    errors, before = [], []
    head, row, *_ = trained.predict_files([tmp_path / "sequence.jsonl"], "csv")
    first = parts_of(tmp_path / "sequence.jsonl")[0]
    assert head == "values_1,values_2\n"
    assert [float(cell) for cell in row.split(",")] == pytest.approx(
        trained.predict([first])[0].values,
        abs=1e-6,  # sums in another order in a batch of several
    )
    for sequence in parts_of(tmp_path / "sequence.jsonl"):
        for end in range(1, len(sequence)):
            (found,) = trained.predict([sequence[:end]])
            errors += [abs(a - b) for a, b in zip(found.values, sequence[end], strict=True)]
            before += [abs(a - b) for a, b in zip(sequence[end - 1], sequence[end], strict=True)]
    scores = trained.evaluate(tmp_path / "sequence.jsonl")["data"]
    assert scores["mae"] == pytest.approx(torch.tensor(errors).mean().item(), rel=1e-4)
    assert scores["baseline_mae"] == pytest.approx(torch.tensor(before).mean().item(), rel=1e-4)
    assert scores["rmse"] == pytest.approx(torch.tensor(errors).square().mean().sqrt().item(), rel=1e-4)
    assert scores["mae"] < scores["baseline_mae"]
    assert gatewise.load(tmp_path / "run").evaluate() == trained.final_scores()


def test_the_next_step_of_binary_features_is_scored_as_music_is(tmp_path):
    trained = train(tmp_path, "binary", predict="next", values="binary")
    nats, steps = 0.0, 0
    for sequence in parts_of(tmp_path / "binary.jsonl"):
        for end in range(1, len(sequence)):
            (found,) = trained.predict([sequence[:end]])
            nats -= sum(math.log(p if value else 1 - p) for p, value in zip(found.values, sequence[end], strict=True))
            steps += 1
    scores = trained.evaluate(tmp_path / "binary.jsonl")["data"]
    assert scores["steps"] == steps
    assert scores["nats_per_step"] == pytest.approx(nats / steps, rel=1e-4)
    assert scores["nats_per_step"] < math.log(2)
    assert "nats_per_step" in trained.folder.metrics.read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("binary", {}, "the data: sequence 1: expected one label for the sequence, got none"),
        ("binary", {"predict": "steps"}, "the data: sequence 1: expected a label for each of"),
        ("sequence", {"predict": "steps"}, "expected a label for each of"),
        ("sequence", {"predict": "next", "values": "binary"}, "expected features of 0 and 1"),
        ("sequence", {"predict": "next", "class_weights": "balanced"}, "class_weights: are for labels"),
        ("sequence", {"predict": "next", "bidirectional": True}, "bidirectional: has no effect: predict is next"),
        ("sequence", {"predict": "next", "pooling": "max"}, "pooling: has no effect: predict is next"),
        ("sequence", {"values": "real"}, "values: has no effect: it is of the next step"),
        ("binary", {"predict": "next", "values": "binary", "scale": True}, "scale: has no effect: values are 0 and 1"),
    ],
)
def test_what_cannot_be_trained(tmp_path, kind, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path, kind, **changes)
    assert not (tmp_path / "run").exists()


def write_lines(path, *rows):
    path.write_text("".join(json.dumps({"steps": steps, "label": label}) + "\n" for steps, label in rows))
    return path


@pytest.mark.parametrize("kind", ["sequence", "steps"])
def test_a_label_unknown_in_training_is_an_error(tmp_path, capsys, kind):
    several = 2 if kind == "steps" else 1
    up, flat = [[10, 0], [11, 0]], [[10, 0], [10, 0]]
    labels = {name: [name] * several if kind == "steps" else name for name in ("up", "flat", "odd")}
    more = write_lines(tmp_path / "more.jsonl", (up, labels["up"]), (flat, labels["flat"]), (up, labels["up"]))
    trained = train(tmp_path, kind, predict=kind, valid=more, test=more, epochs=2)
    message = capsys.readouterr().err
    warnings = [f"warning: {part}: {several} of {3 * several} labels are not in" for part in ("valid", "test")]
    assert message.index(warnings[0]) < message.index(warnings[1]) < message.index("epoch 1:")
    scores = trained.final_scores()["test"]
    assert trained.evaluate() == trained.final_scores()
    right = sum(answer == "up" for answer in answers_of(trained, [up, up]))
    assert (scores["unknown_labels"], scores["accuracy"]) == (several, pytest.approx(right / 3 / several))
    assert 0 < scores["loss"] < math.inf
    assert (trained.folder.path / "confusion_test.png").exists()
    (steps,) = {len(row["steps"]) for row in map(json.loads, more.read_text().splitlines())}
    assert steps == 2
    none = write_lines(tmp_path / "none.jsonl", (flat, labels["odd"]))
    with pytest.raises(
        ValueError, match="test: no label is one of the training data: got 'odd', where that has 'down', "
    ):
        train(tmp_path, kind, predict=kind, test=none, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def answers_of(trained, sequences):
    for found in trained.predict(sequences):
        yield from found.labels if hasattr(found, "labels") else [found.label]


@pytest.mark.parametrize(
    ("kind", "steps", "label", "message"),
    [
        (
            "sequence",
            [[1, 1], [2, 2]],
            ["up", "down"],
            "test: sequence 1: expected one label for the sequence, got down, ",
        ),
        ("sequence", [[1, 1]], [], "test: sequence 1: expected one label for the sequence, got none"),
        ("steps", [[1, 1], [2, 2]], ["up"], "test: sequence 1: expected a label for each of 2 steps, got 1"),
        ("sequence", [[1], [2]], "up", "test: sequence 1: expected 2 features at each step, as in training"),
        ("next", [[1, 1]], "up", "test: sequence 1: "),
    ],
)
def test_every_file_is_checked_before_training(tmp_path, kind, steps, label, message):
    test = write_lines(tmp_path / "more.jsonl", (steps, label))
    data = "steps" if kind == "steps" else "sequence"
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path, data, predict=kind, test=test)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", range(5))
def test_a_class_that_occurs_once_is_learned(tmp_path, seed):
    path = write_lines(tmp_path / "a.jsonl", ([[1]], "once"), *[([[2]], "often")] * 5)
    options = NumericOptions(data=(path,), held_out=0.5, seed=seed)
    corpus = read_examples(options, NumericPipeline.data(options))
    assert {label for example in corpus.training for label in example.labels} == {"once", "often"}
    options = NumericOptions(data=(path,), held_out=0.5, seed=seed, predict="next")
    split = read_examples(options, NumericPipeline.data(options))
    assert len(split.deciding) == len(corpus.deciding) == 3


def test_one_label_leaves_nothing_to_tell_apart(tmp_path):
    rows = [json.dumps({"steps": [[0, number]], "label": "only"}) + "\n" for number in range(20)]
    (tmp_path / "one.jsonl").write_text("".join(rows))
    with pytest.raises(ValueError, match=r"the data to learn from has one label only \(only\)"):
        gatewise.train("numeric", data=tmp_path / "one.jsonl", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("sequence", {}),
        ("steps", {"predict": "steps"}),
        ("sequence", {"predict": "next"}),
        ("binary", {"predict": "next", "values": "binary"}),
    ],
)
def test_double_precision(tmp_path, kind, changes):
    trained = train(tmp_path, kind, precision="64", epochs=1, **changes)
    assert gatewise.load(tmp_path / "run").evaluate() == trained.final_scores()
    assert {parameter.dtype for parameter in trained.model.parameters()} == {torch.float64}
    steps = [[0.0, 1.0], [1.0, 1.0]]
    assert len(trained.predict([steps])) == 1
    trained.inspect(steps)


def test_data_must_be_named(tmp_path):
    with pytest.raises(ValueError, match="data: name a file to learn from"):
        gatewise.train("numeric", out=tmp_path / "run")
