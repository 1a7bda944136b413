"""A tag for every word: training, scores, predictions, what is refused."""

import json
import math
import re

import pytest

import gatewise
from gatewise.tasks.tagging.tag_set import TagSet
from tests.tasks.small_sequences import SMALL, SMALL_TOKENS, tagged_words


def train(folder, **changes):
    data = changes.pop("data", None) or tagged_words(folder)
    options = {"out": folder / "run", **SMALL, **SMALL_TOKENS, "lower": False, **changes}
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


def test_answers_as_columns_and_lines(trained, tmp_path):
    (tmp_path / "a.txt").write_text("Ann goes\nto New York\n")
    expected = "Ann\tB-PER\ngoes\tO\n\nto\tO\nNew\tB-LOC\nYork\tI-LOC\n\n"
    assert "".join(trained.answers([tmp_path / "a.txt"])) == expected
    (tmp_path / "a.conll").write_text("Ann X\ngoes X\n\nto X\nNew X\nYork X\n")
    assert "".join(trained.answers([tmp_path / "a.conll"], "columns")) == expected
    rows = [json.loads(line) for line in trained.answers([tmp_path / "a.txt"], "jsonl")]
    assert rows[1]["entities"] == [{"type": "LOC", "first": 1, "end": 3}]


def test_a_field_of_transitions_gives_no_invalid_sentence_even_untrained(tmp_path):
    untrained = {"epochs": 1, "lr": 1e-6}
    scores = train(tmp_path, output="crf", **untrained).evaluate()["held_out"]
    alone = train(tmp_path, out=tmp_path / "other", output="softmax", **untrained).evaluate()["held_out"]
    assert scores["invalid_sentences"] == 0 < alone["invalid_sentences"]


def test_which_words_moved_each_tag(trained, tmp_path):
    found = trained.inspect("Ann goes to New York", out=tmp_path / "report.html")
    assert found.answers == ["B-PER", "O", "O", "B-LOC", "I-LOC"]
    assert found.moved.shape == (5, 5)
    assert found.moved[0].argmax() == 0
    assert found.moved[4].argmax() in (3, 4)
    assert all(0.5 < probability <= 1 for probability in found.probabilities)
    inputs, lengths = trained.reader.batch([trained.reader.read(found.tokens)])
    x = trained.model.steps(*inputs).detach()
    x[3] = 0
    scores = trained.model.log_probabilities(trained.model.read(x, lengths).double(), lengths)
    without = float(scores[4, 0, trained.tags.labels.number("E-LOC")].exp().detach())
    odds = found.probabilities[4] / (1 - found.probabilities[4]), without / (1 - without)
    assert math.log(odds[0] / odds[1]) == pytest.approx(float(found.moved[4, 3]), abs=1e-4)
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
    assert "".join(trained.answers([tmp_path / "program"])).startswith("x\tname\n7\tname\n\\x20\tspace\n")


@pytest.mark.parametrize(
    ("text", "changes", "told"),
    [
        ("a O\n\nb O\n", {"held_out": 0.5}, "the data to learn from has one tag only (O)"),
        ("a N\nb V\n\nc N\nd V\n", {"held_out": 0.5, "scheme": "bio"}, "scheme: bio is for tags of entities"),
        (None, {"tag_column": "3"}, "line 1: expected at least 3 columns"),
        (None, {"output": "hmm"}, "output: expected one of softmax, crf, got 'hmm'"),
        (None, {"unit": "char"}, "unit char expects a character per line, got words"),
    ],
)
def test_what_cannot_be_trained(tmp_path, text, changes, told):
    data = tagged_words(tmp_path)
    if text is not None:
        data.write_text(text)
    with pytest.raises(ValueError, match=re.escape(told)):
        train(tmp_path, data=data, **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", ["0", "B_LOC", "LOC", "B-", "o"])
@pytest.mark.parametrize("part", ["data", "valid", "test"])
def test_a_mistyped_tag_is_refused_with_its_place(tmp_path, wrong, part):
    good, bad = tagged_words(tmp_path), tmp_path / "bad.conll"
    lines = good.read_text().splitlines()
    number = next(number for number in range(90, 200) if lines[number])
    lines[number] = f"word {wrong}"
    bad.write_text("\n".join(lines) + "\n")
    files = {"data": good, part: bad}
    place = f"{bad}: line {number + 1}: tag {wrong!r}: expected O, or the tag of an entity"
    for scheme in ("auto", "bio", "bioes"):
        with pytest.raises(ValueError, match=re.escape(place)):
            train(tmp_path, **files, scheme=scheme)
    assert not (tmp_path / "run").exists()
    if part == "data":
        trained = train(tmp_path, **files, scheme="none", epochs=1)
        assert wrong in trained.tags.labels.names
        assert "entity_f1" not in trained.final_scores()["held_out"]


def test_a_mistyped_tag_is_refused_in_evaluation(trained, tmp_path):
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
    assert "skipped" not in capsys.readouterr().err
    assert "".join(again.answers([data])) == "".join(again.answers([tagged_words(tmp_path)]))


def test_a_tag_that_training_has_not_seen(trained, tmp_path):
    (tmp_path / "a.conll").write_text("a O\n\nb B-ORG\n")
    with pytest.raises(ValueError, match="data: sentence 2: tag 'S-ORG' is not in the training data"):
        trained.evaluate(tmp_path / "a.conll")


def test_answers_are_written_in_the_scheme_of_the_data():
    for rows, written in (([["O", "B-X", "I-X"]], ["B-X", "I-X"]), ([["O", "B-X", "E-X"]], ["B-X", "E-X"])):
        tags = TagSet.learn(rows, "auto")
        assert tags.names(tags.numbers(rows[0], "here").tolist()) == ["O", "B-X", "E-X"]
        assert tags.written(["B-X", "E-X"]) == written
        assert TagSet.from_content(tags.content()).content() == tags.content()
