"""A label for a text: training, scores, predictions, what is rejected."""

import csv
import io
import json
import re

import pytest
import torch

import gatewise
from gatewise.tasks.api import resume
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.pipeline import ClassificationPipeline
from gatewise.tasks.examples import read_examples
from gatewise.tasks.heads.label import balanced
from tests.tasks.small_sequences import SMALL, SMALL_TOKENS, labelled_texts, small_tokens


def train(folder, **changes):
    data = changes.pop("data", None) or labelled_texts(folder)
    return gatewise.train("classify", data=data, **{"out": folder / "run", **SMALL, **small_tokens(**changes)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("classify"), epochs=16)


def test_texts_that_are_cut_are_counted(tmp_path, capsys):
    trained = train(tmp_path, longest=4, epochs=1)
    assert " texts have more than 4 tokens; the rest of each is not read (--longest)" in capsys.readouterr().err
    trained.evaluate(tmp_path / "texts.csv")
    assert "warning: " in (message := capsys.readouterr().err)
    assert " of 80 texts have more than 4 tokens" in message
    (tmp_path / "texts.txt").write_text("one two\none two three four five\n" * 100)
    list(trained.predict_files([tmp_path / "texts.txt"]))
    assert capsys.readouterr().err == "warning: texts of more than 4 tokens are read to there only (--longest)\n"


def test_it_learns(trained):
    scores = trained.final_scores()["held_out"]
    assert scores["examples"] == 8
    assert scores["accuracy"] == 1.0 > scores["baseline_accuracy"]
    assert scores["macro_f1"] == 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "char", "pooling": "last", "cell": "gru_chung2014"},
        {"unit": "bpe", "vocabulary_size": 260, "pooling": "mean", "merge": "sum"},
        {"spelling": "recurrent", "pooling": "attention", "layers": 2, "class_weights": "balanced"},
        {"spelling": "none", "bidirectional": False, "longest": 9, "min_count": 2, "precision": "64"},
    ],
)
def test_every_choice_trains_and_comes_back(tmp_path, changes):
    trained = train(tmp_path, **changes)
    again = gatewise.load(tmp_path / "run")
    assert again.evaluate() == trained.final_scores()
    losses = [float(loss) for _, loss, _ in steps_of(tmp_path / "run")]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_scores_are_those_of_the_predictions(trained, tmp_path):
    path = tmp_path / "more.csv"
    rows = [("an awful film", "good"), ("great", "good"), ("dull", "bad"), ("", "bad")]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    found = trained.predict([text for text, _ in rows])
    right = sum(prediction.label == label for prediction, (_, label) in zip(found, rows, strict=True))
    scores = trained.evaluate(path)["data"]
    assert scores["accuracy"] == right / 4
    assert scores["unknown_tokens"] == 1
    likely = [prediction.probabilities[label] for prediction, (_, label) in zip(found, rows, strict=True)]
    assert scores["loss"] == pytest.approx(-torch.tensor(likely).log().mean().item(), rel=1e-4)
    assert int(trained.confusion(path)["data"].sum()) == 4
    for prediction in found:
        assert prediction.probability == max(prediction.probabilities.values())
        assert sum(prediction.probabilities.values()) == pytest.approx(1)


def test_a_text_is_labelled_alone_as_among_others(trained):
    texts = ["lovely", "it was a poor film, poor", "fine"]
    together = trained.predict(texts)
    for text, found in zip(texts, together, strict=True):
        assert trained.predict([text])[0].probability == pytest.approx(found.probability, rel=1e-5)
    assert trained.predict([]) == []
    with pytest.raises(TypeError, match="expected a sequence of texts, got one str"):
        trained.predict("lovely")
    with pytest.raises(TypeError, match="the text: expected str, got 3"):
        trained.predict([3])


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            [("lovely", "good")],
            TypeError,
            r"data: expected paths of files, or a table in memory, got \('lovely', 'good'\)",
        ),
        (3, TypeError, "data: expected paths of files, or a table in memory, got 3"),
        ([], ValueError, "data: expected at least one file, got none"),
    ],
)
def test_data_that_is_no_file(trained, data, error, message):
    with pytest.raises(error, match=message):
        trained.evaluate(data)


def test_contributions_of_words(trained, tmp_path):
    found = trained.inspect("it was a lovely film", steps=4, out=tmp_path / "report.html")
    assert found.tokens == ["it", "was", "a", "lovely"]
    assert found.predictions == ["good"]
    assert found.contributions.shape == (1, 4)
    assert found.contributions.argmax() == 3
    assert found.probabilities[0] == pytest.approx(trained.predict(["it was a lovely"])[0].probability, rel=1e-5)
    (row,) = found.rows()
    assert (row["prediction"], [token for token, _ in row["contributions"]]) == ("good", found.tokens)
    answer, _, *bars = str(found).splitlines()
    assert answer.startswith("prediction: good, probability 0.")
    assert [line.split()[0] for line in bars] == found.tokens
    assert bars[3].endswith("  " + "+" * 20)
    assert '{"prediction": "good", "values": [' in (tmp_path / "report.html").read_text()
    assert all(parameter.grad is None for parameter in trained.model.parameters())
    for text, changes, message in (
        ("", {}, "the text has no tokens"),
        ("a", {"steps": 0}, "steps: expected a number of tokens, at least 1, got 0"),
        ("a", {"out": tmp_path / "no" / "report.html"}, "its folder does not exist"),
    ):
        with pytest.raises(ValueError, match=message):
            trained.inspect(text, **changes)


def test_answers_as_lines(trained, tmp_path):
    (tmp_path / "texts.txt").write_text("lovely\n\npoor, dull\n")
    rows = [json.loads(line) for line in trained.predict_files([tmp_path / "texts.txt"])]
    assert [row["label"] for row in rows] == ["good", None, "bad"]
    assert rows[1] == {"text": "", "label": None, "probability": None}
    table = list(csv.DictReader(io.StringIO("".join(trained.predict_files([tmp_path / "texts.txt"], "csv")))))
    assert [(row["text"], row["label"]) for row in table] == [("lovely", "good"), ("", ""), ("poor, dull", "bad")]
    (tmp_path / "blank.csv").write_text("id,text\n1,\n2,lovely\n")
    assert [json.loads(line)["label"] for line in trained.predict_files([tmp_path / "blank.csv"])] == [None, "good"]
    with pytest.raises(ValueError, match="format: expected jsonl, csv or parquet for this model, got columns"):
        trained.predict_files([tmp_path / "texts.txt"], "columns")


def test_all_probabilities(trained, tmp_path):
    (tmp_path / "texts.txt").write_text("\nlovely\n")
    (found,) = trained.predict(["lovely"])
    blank, row = (json.loads(line) for line in trained.predict_files([tmp_path / "texts.txt"], probabilities=True))
    assert row == {"text": "lovely", **found._asdict()}
    assert blank["probabilities"] == {"bad": None, "good": None}
    lines = "".join(trained.predict_files([tmp_path / "texts.txt"], "csv", probabilities=True)).splitlines()
    assert lines[:2] == ["text,label,probability,probabilities_bad,probabilities_good", ",,,,"]
    assert [float(cell) for cell in lines[2].split(",")[2:]] == [found.probability, *found.probabilities.values()]


def test_the_run_folder_has_a_plot_of_the_confusion_matrix(trained):
    assert (trained.folder.path / "confusion_held_out.png").read_bytes().startswith(b"\x89PNG")
    header = trained.folder.metrics.read_text().splitlines()[0]
    assert "words_per_second" in header
    assert header.endswith("held_out_loss,held_out_accuracy")


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path):
    train(tmp_path, schedule="constant")
    stopped = train(tmp_path, data=tmp_path / "texts.csv", out=tmp_path / "part", max_minutes=1e-5, schedule="constant")
    whole = steps_of(tmp_path / "run")
    assert len(steps_of(tmp_path / "part")) < len(whole)
    resume(stopped.folder.path, max_minutes=5.0)
    assert steps_of(tmp_path / "part") == whole


def steps_of(run):
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["loss"]]
    return [(row["step"], row["loss"], row["gradient_norm"]) for row in rows]


def test_without_data_docstrings_are_read(tmp_path, monkeypatch):
    texts = [(f"{word} loop {number}", word) for number in range(30) for word in ("asyncio", "email")]
    monkeypatch.setattr("gatewise.tasks.classification.pipeline.docstrings", lambda: texts)
    trained = gatewise.train("classify", out=tmp_path / "run", **SMALL, **SMALL_TOKENS)
    assert trained.predict(["email loop"])[0].label == "email"
    source = json.loads(trained.folder.description.read_bytes())["source"]
    assert re.match(r"docstrings of the standard library of Python 3\.", source)


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("text,label\na,x\nb,x\n", {"held_out": 0.5}, "the data to learn from has one label only (x)"),
        ("text,label\na,x\n", {}, "held_out: 0.1 of 1 examples is 0"),
        (None, {"text_column": "words"}, "no column 'words'"),
        (None, {"pooling": "median"}, "pooling: expected one of last, mean, max, attention, got 'median'"),
        (None, {"merge": "sum", "bidirectional": False}, "merge: sum combines two directions"),
        (None, {"freeze": True}, "freeze: there are no vectors to freeze"),
        (None, {"unit": "char", "embedding": "x.txt"}, "embedding: a file of word vectors needs words"),
        (None, {"spelling": "recurrent", "spelling_size": 7}, "spelling_size: expected an even number"),
        (None, {"unit": "char", "vocabulary_size": 9}, "vocabulary_size: has no effect: unit char takes every"),
        (None, {"unit": "char", "spelling": "cnn"}, "spelling: has no effect: it is for words, and the unit is char"),
        (None, {"spelling": "none", "spelling_size": 8}, "spelling_size: has no effect: spelling is none"),
        (None, {"bidirectional": False, "merge": "concat"}, "merge: has no effect: bidirectional is off"),
    ],
)
def test_what_cannot_be_trained(tmp_path, text, changes, message):
    data = labelled_texts(tmp_path)
    if text is not None:
        data.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path, data=data, **changes)
    assert not (tmp_path / "run").exists()


def test_a_label_unknown_in_training_is_an_error(trained, tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nlovely,good\ndull,bad\n")
    known = trained.evaluate(path)["data"]
    path.write_text("text,label\nlovely,good\ngreat,ugly\ndull,bad\nfine,ugly\n")
    assert capsys.readouterr().err == ""
    scores = trained.evaluate(path)["data"]
    message = "warning: data: 2 of 4 labels are not in the training data ('ugly') and count as errors\n"
    assert capsys.readouterr().err == message
    assert (scores["unknown_labels"], scores["accuracy"], scores["baseline_accuracy"]) == (2, 0.5, 0.25)
    assert scores["loss"] == pytest.approx(known["loss"], rel=1e-5)
    per_label = scores["per_label"]
    assert list(per_label) == ["bad", "good", "ugly"]
    assert per_label["bad"] == {"precision": 1, "recall": 1, "f1": 1, "support": 1}
    assert per_label["good"] == {"precision": 1 / 3, "recall": 1, "f1": 0.5, "support": 1}
    assert per_label["ugly"] == {"precision": 0, "recall": 0, "f1": 0, "support": 2}
    assert scores["macro_f1"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert trained.confusion(path)["data"].tolist() == [[1, 0, 0], [0, 1, 0], [0, 2, 0]]
    path.write_text("text,label\nlovely,ugly\ngreat,fair\n")
    with pytest.raises(
        ValueError, match="data: no label is one of the training data: got 'ugly', 'fair', where that ha"
    ):
        trained.evaluate(path)


def test_every_file_is_checked_before_training_and_can_be_scored_after_it(tmp_path, capsys):
    path = tmp_path / "more.csv"
    path.write_text("text,label\nlovely,good\ngreat,ugly\ndull,bad\n")
    trained = train(tmp_path, valid=path, test=path)
    message = capsys.readouterr().err
    assert (
        message.index("warning: valid: 1 of 3 labels")
        < message.index("warning: test: 1 of 3 labels")
        < message.index("epoch")
    )
    assert trained.final_scores()["test"]["unknown_labels"] == 1
    assert trained.evaluate() == trained.final_scores()
    assert (trained.folder.path / "confusion_test.png").exists()
    with trained.folder.metrics.open(newline="") as file:
        losses = [float(row["held_out_loss"]) for row in csv.DictReader(file) if row["held_out_loss"]]
    assert trained.final_scores()["valid"]["loss"] in [pytest.approx(loss, rel=1e-4) for loss in losses]
    path.write_text("text,label\nlovely,ugly\n")
    with pytest.raises(
        ValueError, match="test: no label is one of the training data: got 'ugly', where that has 'bad'"
    ):
        train(tmp_path, test=path, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("seed", range(6))
def test_a_class_that_occurs_once_is_learned(tmp_path, seed):
    rows = [("good", "a")] * 3 + [("bad", "b")] + [("fair", "c")] * 2
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    options = ClassificationOptions(data=(tmp_path / "a.csv",), held_out=0.5, seed=seed)
    corpus = read_examples(options, ClassificationPipeline.data(options))
    assert {label for _, label in corpus.training} == {"a", "b", "c"}
    assert len(corpus.deciding) == 3


def test_balanced_weights_make_every_class_count_the_same():
    weights = balanced([0, 0, 0, 2], 3)
    assert (weights[0] * 3).item() == pytest.approx(weights[2].item())


def test_vectors_from_a_file_are_the_first_weights(tmp_path):
    (tmp_path / "vectors.txt").write_text("great 1 2 3\npoor -1 -2 -3\n")
    trained = train(tmp_path, embedding=tmp_path / "vectors.txt", freeze=True, spelling="none")
    assert trained.options.embedding_size == 3
    number = trained.reader.vocabulary.encode_tokens(["great", "poor"])
    assert trained.model.steps.embedding.weight[number].tolist() == [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]
    (tmp_path / "vectors.txt").unlink()
    assert gatewise.load(tmp_path / "run").evaluate() == trained.final_scores()


def test_a_width_that_the_vectors_of_the_file_do_not_have(tmp_path):
    (tmp_path / "vectors.txt").write_text("great 1 2 3\npoor -1 -2 -3\n")
    with pytest.raises(ValueError, match=r"embedding_size: 6 is asked for, but the vectors of .* have 3 components"):
        gatewise.train("classify", data=labelled_texts(tmp_path), embedding=tmp_path / "vectors.txt", embedding_size=6)
    with pytest.raises(ValueError, match=r"embedding: expected a file of word vectors, and there is no 8; the width"):
        gatewise.train("classify", data=labelled_texts(tmp_path), embedding="8")


def test_frozen_vectors_stay_frozen_after_a_resume(tmp_path):
    (tmp_path / "vectors.txt").write_text("great 1 2 3\npoor -1 -2 -3\n")
    changes = {"embedding": tmp_path / "vectors.txt", "freeze": True, "spelling": "none"}
    stopped = train(tmp_path, max_minutes=1e-5, **changes)
    resumed = resume(stopped.folder.path, max_minutes=5.0)
    weight = resumed.model.steps.embedding.weight
    assert torch.equal(weight, stopped.model.steps.embedding.weight)
    assert weight[resumed.reader.vocabulary.encode_tokens(["great"])].tolist() == [[1.0, 2.0, 3.0]]
