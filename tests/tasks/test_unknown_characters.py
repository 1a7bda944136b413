"""Characters that a character model does not know are reported once, with their number."""

import json

import pytest
import torch

import gatewise
from gatewise.data.characters import CharacterVocabulary
from gatewise.tasks.unknown_characters import UnknownCharacters
from tests.cli.command_line import leave
from tests.tasks.small import train_small
from tests.tasks.small_sequences import SMALL, labelled_texts, reversed_words, small_tokens

NOTICE = "characters are not in the model's vocabulary"


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("lm"))


@pytest.mark.parametrize(
    "use",
    [
        lambda model, folder: model.generate("the €uro", 3),
        lambda model, folder: model.next("the €uro"),
        lambda model, folder: list(model.score("the €uro")),
        lambda model, folder: model.inspect("the €uro", out=folder / "report.html"),
    ],
    ids=["generate", "next", "score", "inspect"],
)
def test_of_a_language_model(language_model, tmp_path, capsys, use):
    capsys.readouterr()
    use(language_model, tmp_path)
    err = capsys.readouterr().err
    assert err.count(f"warning: 1 of 8 {NOTICE} ('€'); they are read as unknown\n") == err.count(NOTICE) == 1


@pytest.mark.parametrize(("task", "data"), [("classify", labelled_texts), ("seq2seq", reversed_words)])
def test_of_files(tmp_path, capsys, task, data):
    options = {**SMALL, "epochs": 1, "unit": "char", **({"embedding_size": 6} if task == "seq2seq" else {})}
    model = gatewise.train(task, data=data(tmp_path), out=tmp_path / "run", **options)
    (tmp_path / "a.txt").write_text("redÜ\n" * 600)  # more than one group
    capsys.readouterr()
    assert leave("predict", model.folder.path, tmp_path / "a.txt", "--out", tmp_path / "a.jsonl") == 0
    err = capsys.readouterr().err
    assert err.count(f"warning: 600 of 2,400 {NOTICE} ('Ü')") == err.count(NOTICE) == 1
    assert len([json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]) == 600
    model.predict(["redÜ"])
    model.inspect("redÜ", out=tmp_path / "report.html")
    assert capsys.readouterr().err.count(f"warning: 1 of 4 {NOTICE} ('Ü')") == 2


def test_of_a_tagger(tmp_path, capsys):
    (tmp_path / "a.conll").write_text("".join(f"{letter}\t{letter in 'ab'}\n" for letter in "abcd" * 20) + "\n")
    (tmp_path / "a.conll").write_text(((tmp_path / "a.conll").read_text()) * 10)
    options = {
        **SMALL,
        "epochs": 1,
        "unit": "char",
        **{k: v for k, v in small_tokens().items() if k == "embedding_size"},
    }
    model = gatewise.train("tag", data=tmp_path / "a.conll", out=tmp_path / "run", **options)
    capsys.readouterr()
    model.predict(["abß"])
    (tmp_path / "a.txt").write_text("abß\n" * 100)
    list(model.predict_files([tmp_path / "a.txt"]))
    err = capsys.readouterr().err
    assert f"warning: 1 of 3 {NOTICE} ('ß')" in err
    assert err.count(f"warning: 100 of 300 {NOTICE} ('ß')") == 1


def test_the_most_frequent_are_named(capsys):
    unknown = UnknownCharacters(CharacterVocabulary("ab"))
    unknown.add(torch.tensor([0, 1, 0, 0]), "xayz")
    unknown.add(torch.tensor([0, 0, 0, 0, 0]), "zzuvw")
    unknown.report()
    err = capsys.readouterr().err
    assert err.startswith(f"warning: 8 of 9 {NOTICE} ('z', 'x', 'y', 'u', 'v' and 1 more); they are")


def test_words_are_not_counted(tmp_path, capsys):
    model = gatewise.train(
        "classify", data=labelled_texts(tmp_path), out=tmp_path / "run", **{**SMALL, **small_tokens(), "epochs": 1}
    )
    capsys.readouterr()
    model.predict(["unheard of"])
    assert capsys.readouterr().err == ""
