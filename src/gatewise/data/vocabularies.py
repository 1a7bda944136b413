"""Vocabularies of texts by their unit: learned, or read from a file."""

import json
from pathlib import Path
from typing import Literal

from gatewise.data.characters import CharacterVocabulary
from gatewise.data.vocabulary import FORMAT, VERSION, Vocabulary
from gatewise.data.vocabulary_file import MALFORMED
from gatewise.data.words import WordVocabulary
from gatewise.progress import Progress


def build_vocabulary(unit: Literal["char", "word", "bpe"], text: str, size: int | None = None) -> Vocabulary:
    """Learn a vocabulary from the training text.

    Args:
        unit: "char", "word" or "bpe".
        text: the training text.
        size: for words, keep at most so many (default: all); for bpe, the number of tokens (default: 2048). A
            character vocabulary always has every character of the text.

    Raises:
        ValueError: when `size` does not suit the unit.

    >>> vocabulary = build_vocabulary("char", "hello")
    >>> vocabulary.encode("hell").tolist(), vocabulary.decode([3, 1])
    ([2, 1, 3, 3], 'le')
    """
    if unit == "char" and size is not None:
        raise ValueError("a vocabulary size is for words and bpe; a char vocabulary has every character")
    with Progress("building the vocabulary"):
        if unit == "char":
            return CharacterVocabulary.learn(text)
        from gatewise.data.subwords import BytePairVocabulary  # loads the library tokenizers

        return WordVocabulary.learn(text, size) if unit == "word" else BytePairVocabulary.learn(text, size or 2048)


def load_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary that `Vocabulary.save` wrote.

    Raises:
        ValueError: when the file is not one.
        OSError: when it cannot be read.
    """
    from gatewise.data.subwords import BytePairVocabulary

    try:
        document = json.loads(path.read_bytes())
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError(f"expected {FORMAT} version {VERSION}, got {document['format']} {document['version']}")
        kinds = {kind.unit: kind for kind in (CharacterVocabulary, WordVocabulary, BytePairVocabulary)}
        if document["unit"] not in kinds:
            raise ValueError(f"unknown unit {document['unit']!r}")
        return kinds[document["unit"]].from_content(document)
    except MALFORMED as error:
        raise ValueError(f"{path}: not a vocabulary of gatewise, or a corrupt one ({error})") from None
