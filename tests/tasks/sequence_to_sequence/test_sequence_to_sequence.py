"""A text for a text: training, scores, answers, what is rejected."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
import torch

import gatewise
from gatewise.cells import lookup
from gatewise.tasks.api import resume
from gatewise.tasks.sequence_to_sequence.text_side import TextSide, read_sources
from tests.tasks.classification.test_classification import steps_of
from tests.tasks.small_sequences import reversed_words

SMALL = {"hidden": 16, "embedding_size": 8, "epochs": 3, "batch": 60, "lr": 0.02, "dropout": 0.0, "unit": "word"}


def train(folder, **changes):
    data = changes.pop("data", None) or reversed_words(folder)
    return gatewise.train("seq2seq", data=data, **{"out": folder / "run", "held_out": 0.1, **SMALL, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("seq2seq"), epochs=25)


def test_it_learns_and_is_compared_with_its_baseline(trained):
    scores = trained.final_scores()
    assert scores["held_out"]["pairs"] == 12
    assert scores["held_out"]["exact_match"] == 1.0
    assert scores["held_out"]["token_accuracy"] == 1.0
    assert 0 < scores["held_out_baseline_copy"]["exact_match"] < 1
    assert scores["held_out_baseline_copy"]["rouge_1"] == 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"unit": "char", "attention": "bahdanau", "cell": "lstm", "layers": 2},
        {"unit": "bpe", "vocabulary_size": 262, "vocabulary": "shared", "attention": "luong-dot", "merge": "sum"},
        {"attention": "none", "bidirectional": False, "tie": False, "precision": "64", "cell": "gru_chung2014"},
        {"encoder_hidden": 5, "label_smoothing": 0.0, "precision": "bf16-mixed", "cell": "peephole_lstm"},
        {"decoder_cell": "lstm", "encoder_hidden": 5, "precision": "bf16-mixed"},
    ],
)
def test_every_choice_trains_and_comes_back(tmp_path, changes):
    trained = train(tmp_path, **changes)
    assert gatewise.load(tmp_path / "run").evaluate() == trained.final_scores()
    losses = [float(loss) for _, loss, _ in steps_of(tmp_path / "run")]
    assert sum(losses[-5:]) < sum(losses[:5])
    parts = json.loads(trained.folder.vocabulary.read_bytes())
    assert ("target" in parts) == (changes.get("vocabulary") != "shared")
    shared = trained.model.embedding is trained.model.decoder.embedding
    assert shared == (changes.get("vocabulary") == "shared")


def test_encoder_and_decoder_may_have_cells_of_their_own(tmp_path, capsys):
    shutil.copy(Path(__file__).parents[3] / "examples" / "cells" / "ugrnn.py", tmp_path / "mine.py")
    trained = train(tmp_path, cell="lstm", decoder_cell=f"{tmp_path / 'mine.py'}:ugrnn", epochs=1)
    assert "model: lstm and ugrnn, " in capsys.readouterr().err
    (tmp_path / "mine.py").unlink()
    again = gatewise.load(tmp_path / "run")
    assert (again.model.encoder.recurrent.cell.name, again.model.decoder.recurrent.cell.name) == ("lstm", "ugrnn")
    assert again.evaluate() == trained.final_scores()
    config = tmp_path / "run" / "config.toml"
    config.write_text(re.sub("decoder_cell = .*", 'decoder_cell = "theirs.py:mine"', config.read_text()))
    with pytest.raises(ValueError, match=re.escape("got a file, 'theirs.py:mine'")):
        gatewise.load(tmp_path / "run")
    given = train(tmp_path, out=tmp_path / "other", decoder_cell=lookup("lstm"), epochs=1)
    assert len(given.model.decoder.recurrent.cell.states) == 2


def test_scores_are_those_of_the_answers(trained, tmp_path):
    rows = [("red blue", "blue red"), ("green", "red"), ("blue blue red", "red blue blue")]
    path = tmp_path / "more.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("target", "source"), *((target, source) for source, target in rows)])
    found = trained.predict([source for source, _ in rows])
    right = sum(answer.text == target for answer, (_, target) in zip(found, rows, strict=True))
    assert trained.evaluate(path)["data"]["exact_match"] == right / 3


def test_the_loss_is_that_of_the_targets(trained, tmp_path):
    (tmp_path / "one.tsv").write_text("red blue\tblue red\n")
    scores = trained.evaluate(tmp_path / "one.tsv")["data"]
    (answer,) = trained.predict(["red blue"])
    assert answer.text == "blue red"
    assert scores["loss"] * 3 == pytest.approx(-answer.log_probability, rel=1e-4)  # two words and the end


def test_a_text_is_answered_alone_as_among_others(trained):
    texts = ["red", "green blue red", "", "blue " * 9]
    together = trained.predict(texts, beam=3)
    for text, found in zip(texts, together, strict=True):
        (alone,) = trained.predict([text], beam=3)
        assert alone.text == found.text
        assert alone.log_probability == pytest.approx(found.log_probability, rel=1e-4)
        assert len(found.candidates) <= 3
        assert found.candidates[0] == (found.text, found.log_probability)
    assert trained.predict([]) == []
    with pytest.raises(TypeError, match="expected a sequence of texts, got one str"):
        trained.predict("red")


def test_the_search_can_be_chosen_later(trained):
    assert len(trained.predict(["red blue"], beam=1)[0].candidates) == 1
    assert len(trained.predict(["red blue"], beam=4, length_penalty=0.0)[0].candidates) > 1
    assert trained.evaluate(beam=1).keys() == trained.evaluate().keys()
    for wrong, message in (
        ({"beam": 0}, "beam: expected a number at least 1"),
        ({"length_penalty": -1.0}, "at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            trained.predict(["red"], **wrong)


def test_answers_as_lines(trained, tmp_path):
    (tmp_path / "texts.txt").write_text("red blue\n\ngreen\n")
    rows = [json.loads(line) for line in trained.predict_files([tmp_path / "texts.txt"])]
    assert [(row["source"], row["answer"]) for row in rows] == [
        ("red blue", "blue red"),
        ("", ""),
        ("green", "green"),
    ]
    assert rows[1]["log_probability"] is None
    table = list(csv.DictReader(io.StringIO("".join(trained.predict_files([tmp_path / "texts.txt"], "csv")))))
    assert [row["answer"] for row in table] == ["blue red", "", "green"]
    assert "".join(trained.predict_files([tmp_path / "texts.txt"], "text", beam=1)) == "blue red\n\ngreen\n"
    (tmp_path / "none.txt").write_text("\n")
    assert "".join(trained.predict_files([tmp_path / "none.txt"], "text")) == "\n"
    (tmp_path / "named.csv").write_text("id,source\n7,red blue\n")
    (tmp_path / "plain.tsv").write_text("red blue\tred red\n")
    for name in ("named.csv", "plain.tsv"):
        assert "".join(trained.predict_files([tmp_path / name], "text")) == "blue red\n"
    with pytest.raises(ValueError, match="format: expected jsonl, csv or parquet for this model, got columns"):
        trained.predict_files([tmp_path / "texts.txt"], "columns")


def test_other_answers(trained, tmp_path):
    (tmp_path / "texts.txt").write_text("\nred blue\n")
    path, search = [tmp_path / "texts.txt"], {"beam": 3, "probabilities": True}
    blank, row = (json.loads(line) for line in trained.predict_files(path, **search))
    (found,) = trained.predict(["red blue"], beam=3)
    others = [{"answer": text, "log_probability": pytest.approx(value)} for text, value in found.candidates[1:]]
    assert row["alternatives"] == others != []
    assert (blank["answer"], blank["alternatives"]) == ("", [])
    blank, row = csv.DictReader(io.StringIO("".join(trained.predict_files(path, "csv", **search))))
    assert row["alternatives_1_answer"] == found.candidates[1][0]
    assert blank == dict.fromkeys(row, "")
    assert [name for name in row if name.endswith("_answer")] == ["alternatives_1_answer", "alternatives_2_answer"]
    with pytest.raises(ValueError, match="probabilities: text has the best answers alone"):
        trained.predict_files(path, "text", **search)


def test_sources_that_are_cut_are_counted(tmp_path, capsys):
    trained = train(tmp_path, longest=3, epochs=1)
    message = capsys.readouterr().err
    longer = sum(line.partition("\t")[0].count(" ") == 2 for line in (tmp_path / "pairs.tsv").read_text().splitlines())
    (cut,) = re.findall(r"longest, 3 tokens: (\d+) sources have more, whose rest is not read", message)
    (of_scored,) = re.findall(
        r"warning: (\d+) of 12 sources have more than 3 tokens, the end included; the rest of each is not read", message
    )
    assert int(cut) + int(of_scored) == longer
    (tmp_path / "one.tsv").write_text("red blue\tblue red\nred blue red\tred blue red\n")
    trained.evaluate(tmp_path / "one.tsv")
    assert capsys.readouterr().err.startswith("warning: 1 of 2 sources have more than 3 tokens")
    (tmp_path / "texts.txt").write_text("red blue\n" + "red blue red\n" * 600)
    list(trained.predict_files([tmp_path / "texts.txt"], "text"))
    assert capsys.readouterr().err == (
        "warning: 600 of 601 sources have more than 3 tokens, the end included; the rest of each is not read "
        "(--longest)\n"
    )
    (tmp_path / "texts.txt").write_text("red blue\n")
    list(trained.predict_files([tmp_path / "texts.txt"], "text"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("attention", ["luong-general", "bahdanau"])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, attention):
    data, options = tmp_path / "pairs.tsv", {"dropout": 0.2, "attention": attention, "schedule": "constant"}
    train(tmp_path, **options)
    stopped = train(tmp_path, data=data, out=tmp_path / "part", max_minutes=1e-5, **options)
    whole = steps_of(tmp_path / "run")
    assert len(steps_of(tmp_path / "part")) < len(whole)
    resume(stopped.folder.path, max_minutes=5.0)
    assert steps_of(tmp_path / "part") == whole
    again = gatewise.load(tmp_path / "part")
    for name, weight in gatewise.load(tmp_path / "run").model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name


def test_parallel_files_are_the_same_as_a_table(tmp_path):
    rows = [line.split("\t") for line in reversed_words(tmp_path).read_text().splitlines()]
    for name, column in (("a", 0), ("b", 1)):
        (tmp_path / name).write_text("".join(row[column] + "\n" for row in rows))
    trained = train(tmp_path)
    other = train(tmp_path, data=(tmp_path / "a", tmp_path / "b"), out=tmp_path / "other")
    assert other.final_scores() == trained.final_scores()


def test_pairs_that_are_learned_and_scored_have_a_notice(tmp_path, capsys):
    (tmp_path / "all.tsv").write_text("".join(f"{index}\tnumber {index}\n" for index in range(50)))
    train(tmp_path, data=tmp_path / "all.tsv", epochs=1)
    assert "are in the training data too" not in capsys.readouterr().err
    train(tmp_path, data=tmp_path / "all.tsv", test=tmp_path / "all.tsv", epochs=1, out=tmp_path / "other")
    assert "warning: 45 of 50 pairs of test are in the training data too" in capsys.readouterr().err


def test_pairs_with_long_targets_teach_nothing(tmp_path, capsys):
    data = reversed_words(tmp_path)
    with data.open("a") as file:
        file.write("".join(f"red\t{'red ' * 50}\n" for _ in range(20)))
    trained = train(tmp_path, data=data, longest=5)
    message = (
        r"longest, 5 tokens: 0 sources have more, whose rest is not read; left out: 1\d pairs whose target has more"
    )
    assert re.search(message, capsys.readouterr().err)
    assert len(trained.predict(["red " * 30])[0].text.split()) <= 5
    (tmp_path / "long.tsv").write_text("a\tb c d\n" * 30)
    with pytest.raises(ValueError, match=r"longest: no target has at most 2 tokens"):
        train(tmp_path, data=tmp_path / "long.tsv", longest=2, out=tmp_path / "none")


def test_answers_without_an_end_are_reported(trained, tmp_path, monkeypatch, capsys):
    model = gatewise.load(trained.folder.path)
    assert all(answer.is_complete for answer in model.predict(["red green"]))
    assert capsys.readouterr().err == ""
    # A model that never writes the end.
    with torch.no_grad():
        model.model.decoder.b_y[model.target.end] = -1e4
    monkeypatch.setattr("gatewise.tasks.sequence_to_sequence.trained._GROUP", 2)
    (tmp_path / "a.txt").write_text("red\ngreen\n\nblue\n")
    lines = list(model.predict_files([tmp_path / "a.txt"]))
    assert len(lines) == 4
    longest = model.options.longest
    notice = f"warning: 3 of 3 answers had no end after {longest} tokens and are truncated there (--longest)\n"
    assert capsys.readouterr().err == notice
    assert not model.predict(["red"])[0].is_complete
    assert "warning: 1 of 1 answers had no end" in capsys.readouterr().err
    model.evaluate()
    assert "warning: 12 of 12 answers had no end" in capsys.readouterr().err


def test_without_data_dates_are_generated_with_notice(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("gatewise.tasks.sequence_to_sequence.corpus._DATES", 30)
    monkeypatch.setattr("gatewise.tasks.sequence_to_sequence.corpus._NUMBERS", 30)
    options = {name: value for name, value in SMALL.items() if name != "unit"} | {"epochs": 1}
    trained = gatewise.train("seq2seq", out=tmp_path / "run", **options)
    assert trained.options.unit == "char"
    assert "data: generated by rule, not collected" in capsys.readouterr().err
    assert set(trained.final_scores()) == {"held_out", "held_out_baseline_strptime"}


def test_docstrings_and_their_two_baselines(tmp_path, monkeypatch):
    pairs = [(f"The name of thing {number}. And more.", f"Return name {number}.") for number in range(60)]
    monkeypatch.setattr("gatewise.tasks.sequence_to_sequence.corpus.summarised_docstrings", lambda: pairs)
    given = {**SMALL, "unit": "bpe", "vocabulary_size": 300, "epochs": 1, "dropout": 0.2}  # its usual default
    options = {name: value for name, value in given.items() if name != "batch"}
    trained = gatewise.train("seq2seq", data="builtin:docstrings", out=tmp_path / "run", **options)
    # What is not given comes from the defaults of these data; what is given stays, a default value too.
    chosen = trained.options
    assert (chosen.vocabulary, chosen.longest, chosen.batch) == ("shared", 56, 500)
    assert (chosen.vocabulary_size, chosen.lr, chosen.epochs, chosen.length_penalty) == (300, 0.02, 1, 2.0)
    assert chosen.dropout == 0.2
    options = {"unit": "char", "epochs": 1, "hidden": 8, "embedding_size": 8}
    letters = gatewise.train("seq2seq", data="builtin:docstrings", out=tmp_path / "letters", **options).options
    assert (letters.unit, letters.vocabulary, letters.longest) == ("char", "separate", 200)
    scores = trained.final_scores()
    assert set(scores) == {"held_out", "held_out_baseline_first_sentence", "held_out_baseline_frequent_words"}
    assert (
        0
        < scores["held_out_baseline_first_sentence"]["rouge_1"]
        < scores["held_out_baseline_frequent_words"]["rouge_1"]
    )
    assert gatewise.load(tmp_path / "run").evaluate() == scores


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("a b\n", {}, "line 1: expected at least 2 columns, got 1"),
        ("\t\n \t \n", {}, "there are no pairs in it"),
        ("", {}, "there are no rows in it"),
        (None, {"source_column": "german", "target_column": "english"}, "no column 'german'"),
        (None, {"attention": "luong-dot"}, "attention dot compares vectors of one width, and the decoder's is 16"),
        (None, {"attention": "luong"}, "attention: expected one of luong-general, luong-dot, bahdanau, none"),
        (None, {"unit": "char", "vocabulary_size": 99}, "vocabulary_size: is for the units bpe and word"),
        (None, {"unit": "bpe", "vocabulary_size": 99}, "a bpe vocabulary needs a size above 256"),
        (None, {"beam": 0}, "beam: expected a number at least 1 and at most 1000, got 0"),
        (None, {"beam": 10**9}, "beam: expected a number at least 1 and at most 1000, got 1000000000"),
        (
            None,
            {"length_penalty": 1e9},
            "length_penalty: expected a number at least 0 and at most 10, got 1000000000.0",
        ),
        (None, {"length_penalty": -0.5}, "length_penalty: expected a number at least 0 and at most 10, got -0.5"),
        (None, {"label_smoothing": 1.0}, "label_smoothing: expected a number at least 0 and at most 0.95"),
        (None, {"data": "builtin:letters"}, "one of builtin:dates, builtin:docstrings; got builtin:letters"),
        (None, {"data": ("builtin:dates", "x.tsv")}, "one of builtin:dates, builtin:docstrings; got builtin:dates, x"),
        (None, {"data": "x.txt"}, "or two text files whose lines belong together, the sources first; got x.txt"),
    ],
)
def test_what_cannot_be_trained(tmp_path, text, changes, message):
    data = reversed_words(tmp_path)
    if text is not None:
        data.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path, **{"data": data, **changes})
    assert not (tmp_path / "run").exists()


def test_a_side_reads_and_writes():
    side = TextSide.learn("word", ["a b", "b c"], None)
    tokens = side.read("b c zebra")
    assert tokens[-1] == side.end == side.size - 1
    assert side.write(tokens[:-1].tolist()) == "b c <unk>"
    assert side.names(tokens.tolist()) == ["b", "c", "<unk>", "<end>"]
    (cut, whole), count = read_sources(side, ["a b c a b c", "a b"], 3)
    assert cut.tolist() == whole.tolist() == side.read("a b").tolist()
    assert count == 1


@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize("attention", ["luong-general", "bahdanau", "none"])
def test_inspect_watches_both_sides_and_where_the_decoder_looks(tmp_path, attention):
    trained = train(tmp_path, attention=attention, epochs=1)
    found = trained.inspect("red blue green", steps=2, out=tmp_path / "page.html")
    assert found.answer == trained.predict(["red blue"])[0].text
    page = (tmp_path / "page.html").read_text()
    positions = {label.location.module for label in found.trace.gates().labels}
    assert positions == {"encoder.recurrent", "decoder.recurrent"}
    if attention == "none":
        assert found.attention is None
        assert found.plot is None
        assert '"attention": null' in page
        return
    assert list(found.attention.source) == ["red", "blue", "<end>"]
    assert list(found.attention.answer) == [*found.answer.split(), "<end>"]
    torch.testing.assert_close(found.attention.weights.sum(1), torch.ones(len(found.attention.answer)))
    assert found.plot == tmp_path / "page_attention.png"
    assert found.plot.read_bytes().startswith(b"\x89PNG")
    assert '"source": ["red", "blue", "\\u003cend>"]' in page
    steps = len(found.trace.gates()["decoder.recurrent.l0.z"])
    assert steps == len(found.attention.answer)
    assert all(parameter.grad is None for parameter in trained.model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": " "}, "the text has no tokens; at least 1 is needed"),
        ({"text": "red", "steps": 0}, "steps: expected a number of tokens, at least 1, got 0"),
        ({"text": "red", "out": "no/such/page.html"}, "its folder does not exist"),
    ],
)
def test_what_cannot_be_inspected(trained, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        trained.inspect(**options)
