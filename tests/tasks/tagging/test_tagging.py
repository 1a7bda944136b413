"""A tag for every word: training, scores, predictions, what is rejected."""

import csv
import io
import json
import math
import re

import pytest

import gatewise
from gatewise.tasks.heads.tag_set import TagSet
from gatewise.tasks.tagging.corpus import read_corpus
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.task import task_of
from tests.tasks.small_sequences import SMALL, small_tokens, tagged_words


def train(folder, **changes):
    data = changes.pop("data", None) or tagged_words(folder)
    of_words = {} if "unit" in changes else {"lower": False}
    options = {"out": folder / "run", **SMALL, **of_words, **small_tokens(**changes)}
    return gatewise.train("tag", data=data, **options)


@pytest.fixture(scope="module", params=["softmax", "crf"])
def trained(request, tmp_path_factory):
    return train(tmp_path_factory.mktemp("tag"), epochs=25, output=request.param)


def test_it_learns(trained):
    scores = trained.final_scores()["held_out"]
    assert scores["sentences"] == 8
    assert scores["entity_f1"] == 1.0
    assert scores["accuracy"] == 1.0
    assert scores["invalid_sentences"] == 0
    assert trained.tags.learned == "bioes"


def test_predictions_of_texts_and_of_words(trained):
    found = trained.predict(["Ann goes to New York", ["New", "York"], []])
    assert found[0].tags == ["B-PER", "O", "O", "B-LOC", "I-LOC"]
    assert [(entity.type, entity.first, entity.end) for entity in found[0].entities] == [("PER", 0, 1), ("LOC", 3, 5)]
    assert found[1].tags == ["B-LOC", "I-LOC"]
    assert found[2] == ([], [], [])
    with pytest.raises(TypeError, match="a word: expected str, got 3"):
        trained.predict([["New", 3]])


def test_answers_as_columns_and_lines(trained, tmp_path):
    (tmp_path / "a.txt").write_text("Ann goes\nto New York\n")
    expected = "Ann\tB-PER\ngoes\tO\n\nto\tO\nNew\tB-LOC\nYork\tI-LOC\n\n"
    assert "".join(trained.predict_files([tmp_path / "a.txt"])) == expected
    (tmp_path / "a.conll").write_text("Ann X\ngoes X\n\nto X\nNew X\nYork X\n")
    assert "".join(trained.predict_files([tmp_path / "a.conll"], "columns")) == expected
    rows = [json.loads(line) for line in trained.predict_files([tmp_path / "a.txt"], "jsonl")]
    assert rows[1]["entities"] == [{"type": "LOC", "first": 1, "end": 3}]
    (tmp_path / "a.txt").write_text("Ann goes\n\nto New York\n")
    assert "".join(trained.predict_files([tmp_path / "a.txt"])) == expected.replace("\n\n", "\n\n\n", 1)
    rows = [json.loads(line) for line in trained.predict_files([tmp_path / "a.txt"], "jsonl")]
    assert rows[1] == {"tokens": [], "tags": [], "entities": []}
    table = "".join(trained.predict_files([tmp_path / "a.txt"], "csv"))
    assert table == "sentence,token,tag\n1,Ann,B-PER\n1,goes,O\n3,to,O\n3,New,B-LOC\n3,York,I-LOC\n"


def test_all_probabilities(trained, tmp_path):
    names = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]  # as the data has them; BIOES was learned
    tagged, empty = trained.probabilities(["Ann goes to New York", ""])
    assert empty == []
    for values, tag in zip(tagged, ["B-PER", "O", "O", "B-LOC", "I-LOC"], strict=True):
        assert sorted(values) == names
        assert sum(values.values()) == pytest.approx(1)
        assert max(values, key=values.__getitem__) == tag
    (tmp_path / "a.txt").write_text("\nAnn goes to New York\n")
    blank, row = (json.loads(line) for line in trained.predict_files([tmp_path / "a.txt"], "jsonl", probabilities=True))
    assert blank["probabilities"] == []
    assert row["probabilities"] == [pytest.approx(values) for values in tagged]
    table = list(csv.DictReader(trained.predict_files([tmp_path / "a.txt"], "csv", probabilities=True)))
    assert [(cells["sentence"], cells["token"]) for cells in table][::4] == [("2", "Ann"), ("2", "York")]
    for cells, values in zip(table, tagged, strict=True):
        assert {name: float(cells[f"probabilities_{name}"]) for name in names} == pytest.approx(values)
    with pytest.raises(ValueError, match="probabilities: columns have a word and its tag alone"):
        trained.predict_files([tmp_path / "a.txt"], probabilities=True)


def test_how_the_data_would_write_learned_tags():
    def names(row, scheme):
        tags = TagSet.learn([row], scheme)
        return dict(zip(tags.labels.names, tags.written_names, strict=True))

    of_bioes = {"B-X": "B-X", "I-X": "I-X", "E-X": "I-X", "S-X": "B-X", "O": "O"}
    assert names(["B-X", "I-X", "O"], "bioes") == of_bioes
    assert names(["B-X", "I-X", "L-X", "U-X", "O"], "bioes") == {**of_bioes, "E-X": "L-X", "S-X": "U-X"}
    same = {"B-X": "B-X", "I-X": "I-X", "O": "O"}
    assert names(["B-X", "I-X", "O"], "bio") == same
    assert names(["S-X", "O"], "bio") == same  # B or S, by the word after
    assert names(["N", "V"], "none") == {"N": "N", "V": "V"}


COLUMNS = "Ann NNP B-PER\ngoes VBZ O\n\nto TO O\nNew NNP B-LOC\nYork NNP I-LOC\n"
TAGGED = "Ann\tB-PER\ngoes\tO\n\nto\tO\nNew\tB-LOC\nYork\tI-LOC\n\n"


def test_a_file_is_read_the_same_by_every_command_whatever_its_name(trained, tmp_path, capsys, monkeypatch):
    path = tmp_path / "test.txt"
    path.write_text(COLUMNS)
    assert trained.evaluate(path)["data"]["tokens"] == 5
    assert "".join(trained.predict_files([path])) == TAGGED
    message = f"{path}: read with a word per line, since its lines have tags; --input text reads a sentence per line\n"
    assert capsys.readouterr().err == message
    assert trained.inspect(trained.text_of([path]), out=tmp_path / "report.html").tokens == ["Ann", "goes"]
    # One row that is wrong does not make a text of the file.
    path.write_text(COLUMNS + "10 000 CD O\n")
    for read in (trained.evaluate, lambda path: "".join(trained.predict_files([path]))):
        with pytest.raises(ValueError, match="line 7: expected 3 columns, as in the other rows, got 4"):
            read(path)
    # Words without their tags, and sentences.
    path.write_text("Ann\ngoes\n\nto\nNew\nYork\n")
    assert "".join(trained.predict_files([path], input="columns")) == TAGGED
    assert len(list(trained.predict_files([path]))) == 6  # one for each line, the blank one too
    path.write_text("Ann goes\nto New York\nNew York\n")
    assert "".join(trained.predict_files([path], input="text")).startswith(TAGGED)
    assert trained.text_of([path]) == "Ann goes\nto New York\nNew York\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(COLUMNS.encode())))
    assert "".join(trained.predict_files(input="columns")) == TAGGED
    (tmp_path / "a.conll").write_text("Ann goes\n")
    assert "".join(trained.predict_files([tmp_path / "a.conll"], input="text")) == "Ann\tB-PER\ngoes\tO\n\n"


def test_a_field_of_transitions_gives_no_invalid_sentence_even_untrained(tmp_path, capsys):
    untrained = {"epochs": 1, "lr": 1e-6}
    scores = train(tmp_path, output="crf", **untrained).evaluate()["held_out"]
    assert "warning" not in capsys.readouterr().err
    alone = train(tmp_path, out=tmp_path / "other", output="softmax", **untrained).evaluate()["held_out"]
    message = f"warning: held out: {alone['invalid_sentences']} of 8 sentences have a tag where it may not stand"
    assert message in capsys.readouterr().err
    assert scores["invalid_sentences"] == 0 < alone["invalid_sentences"]


def test_which_words_moved_each_tag(trained, tmp_path):
    found = trained.inspect("Ann goes to New York", out=tmp_path / "report.html")
    assert found.predictions == ["B-PER", "O", "O", "B-LOC", "I-LOC"]
    assert found.contributions.shape == (5, 5)
    assert found.contributions[0].argmax() == 0
    assert found.contributions[4].argmax() in (3, 4)
    assert all(0.5 < probability <= 1 for probability in found.probabilities)
    inputs, lengths = trained.reader.batch([trained.reader.read(found.tokens)])
    x = trained.model.steps(*inputs).detach()
    x[3] = 0
    scores = trained.model.log_probabilities(trained.model.read(x, lengths).double(), lengths)
    without = float(scores[4, 0, trained.tags.labels.number("E-LOC")].exp().detach())
    odds = found.probabilities[4] / (1 - found.probabilities[4]), without / (1 - without)
    assert math.log(odds[0] / odds[1]) == pytest.approx(float(found.contributions[4, 3]), abs=1e-4)
    flow = found.trace.gradient_flow()
    assert sorted(flow) == ["recurrent.l0.c", "recurrent.l0.h", "recurrent.l0_reverse.c", "recurrent.l0_reverse.h"]
    assert all((norms > 0).any() for norms in flow.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "none", "cell": "gru_cudnn"},
        {"scheme": "bio", "output": "crf", "spelling": "recurrent", "layers": 2, "merge": "learned"},
        {"spelling": "none", "bidirectional": False, "lower": True},
    ],
)
def test_every_choice_trains_and_comes_back(tmp_path, changes):
    trained = train(tmp_path, **changes)
    again = gatewise.load(tmp_path / "run")
    assert again.evaluate() == trained.final_scores()
    assert ("entity_f1" in trained.final_scores()["held_out"]) == (changes.get("scheme") != "none")


def test_without_data_programs_are_read_by_character(tmp_path, monkeypatch):
    kinds = ["name", "name", "space", "operator", "space", "number"]
    pieces = [(list(f"{'xyz'[number % 3]}{number % 10} = {number % 7}"), kinds) for number in range(60)]
    monkeypatch.setattr("gatewise.tasks.tagging.corpus.typed_programs", lambda characters, piece: pieces)
    trained = gatewise.train("tag", out=tmp_path / "run", **{**SMALL, "epochs": 12}, embedding_size=6)
    assert trained.options.unit == "char"
    scores = trained.final_scores()["held_out"]
    assert scores["accuracy"] > scores["baseline_accuracy"]
    assert trained.predict(["x7 = 1"])[0].tags == kinds
    (tmp_path / "program").write_text("x7 = 1\n")
    assert "".join(trained.predict_files([tmp_path / "program"])).startswith("x\tname\n7\tname\n\\x20\tspace\n")


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("a O\n\nb O\n", {"held_out": 0.5}, "the data to learn from has one tag only (O)"),
        ("a N\nb V\n\nc N\nd V\n", {"held_out": 0.5, "scheme": "bio"}, "scheme: bio is for tags of entities"),
        (None, {"tag_column": "3"}, "line 1: expected at least 3 columns"),
        (None, {"output": "hmm"}, "output: expected one of softmax, crf, got 'hmm'"),
        (None, {"unit": "char"}, "unit char expects a character per line, got words"),
    ],
)
def test_what_cannot_be_trained(tmp_path, text, changes, message):
    data = tagged_words(tmp_path)
    if text is not None:
        data.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path, data=data, **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", ["0", "B_LOC", "LOC", "B-", "o"])
@pytest.mark.parametrize("part", ["data", "valid", "test"])
def test_a_mistyped_tag_is_rejected_with_its_location(tmp_path, wrong, part):
    good, bad = tagged_words(tmp_path), tmp_path / "bad.conll"
    lines = good.read_text().splitlines()
    number = next(number for number in range(90, 200) if lines[number])
    lines[number] = f"word {wrong}"
    bad.write_text("\n".join(lines) + "\n")
    files = {"data": good, part: bad}
    position = f"{bad}: line {number + 1}: tag {wrong!r}: expected O, or the tag of an entity"
    for scheme in ("auto", "bio", "bioes"):
        with pytest.raises(ValueError, match=re.escape(position)):
            train(tmp_path, **files, scheme=scheme)
    assert not (tmp_path / "run").exists()
    if part == "data":
        trained = train(tmp_path, **files, scheme="none", epochs=1)
        assert wrong in trained.tags.labels.names
        assert "entity_f1" not in trained.final_scores()["held_out"]


def test_a_mistyped_tag_is_rejected_in_evaluation(trained, tmp_path):
    (tmp_path / "a.conll").write_text("a O\n\nb 0\n")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'a.conll'}: line 3: tag '0': expected O, or")):
        trained.evaluate(tmp_path / "a.conll")


def test_comments_are_skipped_with_a_notice(tmp_path, capsys):
    data = tagged_words(tmp_path)
    text = "# id 1\tdomain=en\n" + data.read_text().replace("\n\n", "\n\n# id 2\tdomain=en\n")
    data.write_text(text)
    trained = train(tmp_path, data=data, epochs=1)
    assert f"{data}: skipped 80 comment lines, the first in line 1: '# id 1\\tdomain=en'" in capsys.readouterr().err
    assert trained.tags.labels.size == 9
    data.write_text(text.replace("# id", "% id"))
    with pytest.raises(ValueError, match="line 1: expected 2 columns, as in the other rows, got 4"):
        train(tmp_path, data=data, out=tmp_path / "other")
    again = train(tmp_path, data=data, comments="%", out=tmp_path / "other", epochs=1)
    assert again.final_scores() == trained.final_scores()
    assert "comment line" not in capsys.readouterr().err
    assert "".join(again.predict_files([data])) == "".join(again.predict_files([tagged_words(tmp_path)]))


def test_a_tag_unknown_in_training_is_an_error(trained, tmp_path, capsys):
    known = "Ann B-PER\ngoes O\n\nto O\nNew B-LOC\nYork I-LOC\n\n"
    (tmp_path / "known.conll").write_text(known)
    (tmp_path / "more.conll").write_text(known + "to O\nAnn B-ORG\nAnn I-ORG\n")
    of_known, scores = (trained.evaluate(tmp_path / f"{name}.conll")["data"] for name in ("known", "more"))
    assert capsys.readouterr().err == (
        "warning: data: 2 of 8 tags are not in the training data ('B-ORG', 'I-ORG') and count as errors\n"
    )
    assert (of_known["unknown_tags"], of_known["accuracy"], of_known["entity_f1"]) == (0, 1, 1)
    assert (scores["unknown_tags"], scores["accuracy"], scores["tokens"]) == (2, 6 / 8, 8)
    assert scores["entity_recall"] == pytest.approx(2 / 3)
    whole, none = ({"precision": one, "recall": one, "f1": one} for one in (1, 0))
    assert scores["per_entity"]["LOC"] == {**whole, "support": 1}
    assert scores["per_entity"]["ORG"] == {**none, "support": 1}
    assert list(scores["per_tag"]) == sorted(scores["per_tag"])
    assert scores["per_tag"]["I-LOC"] == {**whole, "support": 1}  # as the file has it, whatever was learned
    assert scores["per_tag"]["I-ORG"] == {**none, "support": 1}
    assert scores["baseline_accuracy"] == 6 / 8
    if trained.options.output == "crf":  # the sentence with a tag that the field does not know has no loss
        assert scores["loss"] == pytest.approx(of_known["loss"], rel=1e-5)
    assert 0 < scores["loss"] < math.inf
    (tmp_path / "none.conll").write_text("a B-ORG\n\nb S-MISC\n")
    with pytest.raises(ValueError, match="data: no tag is one of the training data: got 'B-ORG', 'S-MISC', where that"):
        trained.evaluate(tmp_path / "none.conll")


@pytest.mark.parametrize("output", ["softmax", "crf"])
def test_every_file_is_checked_before_training_and_can_be_scored_after_it(tmp_path, capsys, output):
    (tmp_path / "more.conll").write_text("Ann B-PER\nin O\nSpain B-GPE\n\nto O\nNew B-LOC\nYork I-LOC\n\nAnn B-GPE\n")
    files = {"valid": tmp_path / "more.conll", "test": tmp_path / "more.conll"}
    trained = train(tmp_path, output=output, epochs=8, **files)
    message = capsys.readouterr().err
    assert (
        message.index("warning: valid: 2 of 7 tags")
        < message.index("warning: test: 2 of 7 tags")
        < message.index("epoch 1:")
    )
    scores = trained.final_scores()
    assert scores["test"] == scores["valid"] == trained.evaluate()["test"]
    assert scores["test"]["unknown_tags"] == 2
    with trained.folder.metrics.open(newline="") as file:
        held_out = [row for row in csv.DictReader(file) if row["held_out_loss"]]
    best = max(held_out, key=lambda row: float(row["held_out_entity_f1"]))
    assert float(best["held_out_entity_f1"]) == pytest.approx(scores["valid"]["entity_f1"])
    assert scores["valid"]["loss"] in [pytest.approx(float(row["held_out_loss"]), rel=1e-4) for row in held_out]
    (tmp_path / "more.conll").write_text("in B-GPE\n")
    with pytest.raises(ValueError, match="test: no tag is one of the training data"):
        train(tmp_path, test=tmp_path / "more.conll", out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("seed", range(5))
def test_a_type_that_occurs_once_is_learned(tmp_path, seed):
    rows = ["a O\nb B-ONE\nc O"] + ["a O\nb B-TWO\nc I-TWO"] * 3
    (tmp_path / "a.conll").write_text("\n\n".join(rows) + "\n")
    options = TaggingOptions(data=(tmp_path / "a.conll",), held_out=0.5, seed=seed, scheme="auto")
    corpus = read_corpus(options)
    assert {"B-ONE", "B-TWO"} <= {tag for _, tags in corpus.training for tag in tags}
    assert len(corpus.deciding) == 2


@pytest.mark.parametrize(
    "written",
    [
        ["B-X", "I-X", "B-X", "B-X"],
        ["I-X", "I-X", "B-X", "B-X"],
        ["B-X", "E-X", "S-X", "S-X"],
        ["B-X", "L-X", "U-X", "U-X"],
        ["I-X", "E-X", "E-X", "E-X"],
    ],
)
@pytest.mark.parametrize(
    ("scheme", "learned"), [("bioes", ["B-X", "E-X", "S-X", "S-X"]), ("bio", ["B-X", "I-X", "B-X", "B-X"])]
)
def test_answers_are_written_in_the_scheme_of_the_data(written, scheme, learned):
    rows = [["O", *written], ["O"]]
    tags = TagSet.learn(rows, scheme)
    assert tags.names(tags.numbers(rows[0]).tolist()) == ["O", *learned]
    assert tags.written(["O", *learned]) == rows[0]
    assert TagSet.from_content(tags.content()).content() == tags.content()


@pytest.mark.parametrize("first", ["B", "I"])  # BIO, and BIO of 1995, where B- is for entities side by side
def test_scores_are_of_the_tags_as_the_data_has_them(tmp_path, first):
    data = tagged_words(tmp_path)
    text = data.read_text().replace(" B-", f" {first}-")
    data.write_text(text)
    trained = train(tmp_path, data=data, epochs=25, bidirectional=False)
    (tmp_path / "a.conll").write_text(f"Ann {first}-PER\nNew {first}-LOC\nYork I-LOC\ngoes O\nNew O\nYork O\n")
    scores = trained.evaluate(tmp_path / "a.conll")["data"]
    (found,) = trained.predict([["Ann", "New", "York", "goes", "New", "York"]])
    truth = [f"{first}-PER", f"{first}-LOC", "I-LOC", "O", "O", "O"]
    assert found.tags[:3] == truth[:3]
    assert scores["accuracy"] == sum(map(str.__eq__, found.tags, truth)) / 6
    # The most frequent tags of the words in the file take the second New York for a place too.
    assert (scores["baseline_accuracy"], scores["baseline_entity_f1"]) == (4 / 6, pytest.approx(4 / 5))


def test_the_baseline_is_the_most_frequent_tag_in_the_file(tmp_path):
    # As BIOES the most frequent tag of Ann is E-PER: four times, beside three times S-PER and three times B-PER.
    rows = ["Ann B-PER\nruns O"] * 3 + ["Ann B-PER\nLee I-PER"] * 3 + ["Miss B-PER\nAnn I-PER"] * 4
    (tmp_path / "a.conll").write_text("\n\n".join(rows) + "\n")
    (tmp_path / "b.conll").write_text("Ann B-PER\n\nAnn B-PER\nruns O\n")
    trained = train(tmp_path, data=tmp_path / "a.conll", valid=tmp_path / "b.conll", epochs=1)
    assert trained.tags.learned == "bioes"
    scores = trained.final_scores()["valid"]
    assert (scores["baseline_accuracy"], scores["baseline_entity_f1"]) == (1, 1)


def test_one_direction_learns_tags_that_need_no_word_to_come(tmp_path, capsys):
    data = tagged_words(tmp_path)
    for changes, learned, warned in (
        ({"bidirectional": False}, "bio", False),
        ({"bidirectional": False, "output": "crf"}, "bio", False),
        ({}, "bioes", False),
        ({"bidirectional": False, "scheme": "bioes"}, "bioes", True),
        ({"bidirectional": False, "scheme": "bioes", "output": "crf"}, "bioes", False),
    ):
        options = TaggingOptions(data=(data,), hidden=4, embedding_size=4, **changes)
        job = task_of("tag").prepare(options, None)
        assert any(f"(scheme {learned})" in fact for fact in job.facts)
        assert ("need a word that one direction has not read" in capsys.readouterr().err) == warned
