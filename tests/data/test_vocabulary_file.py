"""Several vocabularies in one file."""

import re

import pytest

from gatewise.data.characters import CharacterVocabulary
from gatewise.data.labels import Labels
from gatewise.data.tokens import TokenVocabulary
from gatewise.data.vocabulary_file import read_parts, to_json

PARTS = {
    "tokens": TokenVocabulary.learn([["a", "b"]], lower=True),
    "alphabet": CharacterVocabulary.learn("ab€"),
    "labels": Labels.learn(["x", "y"]),
    "nothing": None,
}


def test_parts_come_back(tmp_path):
    path = tmp_path / "vocabulary.json"
    path.write_text(to_json(PARTS), encoding="utf-8")
    found = read_parts(path)
    assert list(found) == ["tokens", "alphabet", "labels"]
    assert to_json(found) == to_json(PARTS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a file of vocabularies of gatewise, or a corrupt one"),
        ("[]", "not a file of vocabularies"),
        ('{"format": "gatewise-vocabularies", "version": 2}', "expected gatewise-vocabularies version 1, got"),
        (to_json(PARTS).replace('"labels"', '"colours"'), "colours"),
        (to_json(PARTS).replace('"y"', '"x"'), "the labels are not distinct"),
        (to_json(PARTS).replace('"<unk>"', '"a"'), "the tokens do not begin with <unk>, or are not distinct"),
    ],
)
def test_corrupt_or_foreign(tmp_path, content, message):
    path = tmp_path / "vocabulary.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        read_parts(path)
