"""Further input for each word: columns of the data, features of the spelling."""

import random
import re

import pytest
import torch

import gatewise
from gatewise.tasks.api import resume
from tests.tasks.small import losses
from tests.tasks.small_sequences import SMALL, small_tokens
from tests.tasks.small_sequences import tagged_words as plain_words

FEATURES = {"feature_columns": ["2", "3"]}


def featured_words(folder, count=80, name="words.conll"):
    """Words whose tag the column in the middle tells, and nothing else."""
    draw = random.Random(0)
    sentences = []
    for _ in range(count):
        rows = []
        for _ in range(draw.randrange(1, 5)):
            kind = draw.choice(["N", "V"])
            rows.append(
                f"{draw.choice(['can', 'fish'])} {kind} {draw.choice('ab')} {'NOUN' if kind == 'N' else 'VERB'}"
            )
        sentences.append("\n".join(rows))
    path = folder / name
    path.write_text("\n\n".join(sentences) + "\n")
    return path


def train(folder, data=None, **changes):
    width = {} if changes.get("feature_connections") == "output" else {"feature_size": 4}
    options = {"out": folder / "run", **SMALL, **small_tokens(spelling="none"), **width, **changes}
    return gatewise.train("tag", data=data or featured_words(folder), **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("features"), epochs=12, **FEATURES)


def test_columns_add_what_words_lack(tmp_path, trained):
    blind = train(tmp_path, epochs=12, feature_columns=["3"])
    assert trained.final_scores()["held_out"]["accuracy"] == 1.0
    assert blind.final_scores()["held_out"]["accuracy"] < 0.8
    assert gatewise.load(trained.folder.path).evaluate() == trained.final_scores()


def test_features_that_go_to_the_output_directly(tmp_path, trained):
    """The recurrent layers do not read them: each value has a weight for each tag, and the scores are their sum."""
    run = train(tmp_path, epochs=12, lr=0.05, feature_connections="output", **FEATURES)
    model, other = run.model, trained.model
    weights = [one.embedding.weight for one in model.steps.features]
    assert [tuple(one.shape) for one in weights] == [(3, 2), (3, 2)]
    assert all(not one[0].any() for one in weights)  # of values that training does not have
    assert model.encoder.recurrent.input_size == other.encoder.recurrent.input_size - 8
    assert run.final_scores()["held_out"]["accuracy"] == 1.0
    assert gatewise.load(run.folder.path).evaluate() == run.final_scores()
    rows = [run.reader.read([("can", "N", "a"), ("fish", "V", "b")])]
    (numbers, features), lengths = run.reader.batch(rows)
    scores, changed = (model((numbers, one), lengths) for one in (features, features.flip(0)))
    linear = torch.stack([one[features[..., index]] for index, one in enumerate(weights)]).sum(0)
    assert not torch.allclose(scores, changed)
    torch.testing.assert_close(scores - changed, linear - linear.flip(0))
    found = run.inspect([("can", "N", "a"), ("fish", "V", "b")], out=tmp_path / "report.html")
    assert found.predictions == ["NOUN", "VERB"]


def test_predictions_of_rows_and_of_files(tmp_path, trained):
    rows = [[("can", "N", "a"), ("fish", "V", "b")], [["new", "V", "unknown"]], []]
    assert [found.tags for found in trained.predict(rows)] == [["NOUN", "VERB"], ["VERB"], []]
    assert trained.predict(rows)[0].tokens == ["can", "fish"]
    assert [len(found) for found in trained.probabilities(rows)] == [2, 1, 0]
    (tmp_path / "a.txt").write_text("can N a\nfish V b\n")
    assert "".join(trained.predict_files([tmp_path / "a.txt"])) == "can\tNOUN\nfish\tVERB\n\n"
    found = trained.inspect(trained.text_of([tmp_path / "a.txt"]), out=tmp_path / "report.html")
    assert found.tokens == ["can", "fish"]


def test_the_columns_must_be_there(tmp_path, trained):
    with pytest.raises(ValueError, match=re.escape("this model reads words with feature columns (2, 3), not text")):
        trained.predict(["can fish"])
    for word in ("can", ("can", "N"), ("can", "N", "a", "b")):
        with pytest.raises(ValueError, match=re.escape("expected each word with its features (word, 2, 3), got")):
            trained.predict([[word]])
    with pytest.raises(TypeError, match="a word or feature: expected str, got 3"):
        trained.predict([[("can", "N", 3)]])
    (tmp_path / "a.txt").write_text("can N\nfish V\n")
    with pytest.raises(ValueError, match=r"a\.txt: line 1: expected at least 3 columns, got 2"):
        "".join(trained.predict_files([tmp_path / "a.txt"]))
    with pytest.raises(ValueError, match="input: this model reads words with feature columns, not text"):
        "".join(trained.predict_files([tmp_path / "a.txt"], input="text"))
    (tmp_path / "b.conll").write_text("can N NOUN\nfish V VERB\n")
    with pytest.raises(ValueError, match=r"b\.conll: line 1: expected at least 4 columns, got 3"):
        trained.evaluate(tmp_path / "b.conll")


def test_names_of_conllu(tmp_path):
    lines = featured_words(tmp_path).read_text().splitlines()
    rows = [line.split() for line in lines]
    text = "\n".join("\t".join(["1", r[0], "_", r[3], r[1], *"_____"]) if r else "" for r in rows)
    (tmp_path / "words.conllu").write_text(text + "\n")
    trained = train(tmp_path, tmp_path / "words.conllu", epochs=12, feature_columns=["xpos"])
    assert trained.final_scores()["held_out"]["accuracy"] == 1.0
    assert trained.predict([[("can", "N")]])[0].tags == ["NOUN"]


def test_features_of_the_spelling(tmp_path):
    # In lower case and without spellings, "New" and "new" are one word.
    data = plain_words(tmp_path)
    trained = train(tmp_path, data, epochs=25, word_features=["caps", "suffix2"])
    assert trained.predict(["New York", "new york"])[0].tags == ["B-LOC", "I-LOC"]
    assert trained.predict(["New York", "new york"])[1].tags == ["O", "O"]
    assert gatewise.load(trained.folder.path).evaluate() == trained.final_scores()


def test_a_run_that_stopped_continues_with_its_features(tmp_path, monkeypatch):
    from gatewise.tasks import state_file

    data = featured_words(tmp_path)
    (tmp_path / "stopped").mkdir()
    options = {**FEATURES, "word_features": ["shape"], "schedule": "constant"}
    train(tmp_path, data, **options)
    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    stopped = train(tmp_path / "stopped", data, max_minutes=1e-4, **options)
    assert len(losses(stopped.folder.path)) < len(losses(tmp_path / "run"))
    resume(stopped.folder.path, max_minutes=5.0)
    assert losses(stopped.folder.path) == losses(tmp_path / "run")
    # Other features are other data.
    data.write_text(data.read_text().replace(" a ", " c "))
    with pytest.raises(ValueError, match="the data has changed since the run began"):
        gatewise.load(tmp_path / "run").evaluate()


def test_each_feature_is_embedded_beside_the_word(trained):
    weights = trained.model.state_dict()
    assert weights["steps.features.0.embedding.weight"].shape == (3, 4)  # unknown, N, V
    assert weights["steps.tokens.embedding.weight"].shape[1] == 6
    assert trained.model.steps.width == 6 + 2 * 4
    inputs, _ = trained.reader.batch([trained.reader.read([("can", "V", "z")])])
    assert torch.equal(inputs[1][0, 0], torch.tensor([trained.reader._values[0].encode_tokens(["V"])[0], 0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"word_features": ["capitals"]}, "word_features: expected some of caps, shape, prefix1 to prefix9"),
        ({"feature_columns": ["2", "2"]}, "feature_columns: 2, 2 has a name twice"),
        ({"feature_columns": ["2"], "tag_column": "2"}, "feature_columns: 2 has another meaning already"),
        ({"feature_columns": ["4"]}, "line 1: a feature column is that of the word or tag too"),
        ({"feature_columns": ["1"]}, "line 1: a feature column is that of the word or tag too"),
        ({"feature_columns": ["7"]}, "line 1: expected at least 7 columns, got 4"),
        ({"feature_columns": ["pos"]}, "no column 'pos'; expected a number from 1; names are for files that end"),
        ({}, "feature_size: has no effect: words have neither feature_columns nor word_features"),
    ],
)
def test_what_cannot_be_read(tmp_path, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path, **changes)
    assert not (tmp_path / "run").exists()
