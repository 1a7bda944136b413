"""Vocabularies of texts by their unit: learned, or read from a file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from gatewise.data.characters import CharacterVocabulary
from gatewise.data.vocabulary import FORMAT, VERSION, TextVocabulary
from gatewise.data.vocabulary_file import MALFORMED
from gatewise.data.words import WordVocabulary
from gatewise.progress import Progress


def build_vocabulary(
    unit: Literal["char", "word", "bpe"], text: str | Iterable[str], size: int | None = None
) -> TextVocabulary:
    """Learn a vocabulary from the training text.

    Args:
        unit: "char", "word" or "bpe".
        text: the training text, whole or in parts.
        size: for words, the largest number to keep (default: all); for bpe, the number of tokens (default: 2048). A
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
        return _kinds()[unit].learn(text, size)


def _kinds() -> dict[str, type[TextVocabulary]]:
    from gatewise.data.subwords import BytePairVocabulary  # loads the library tokenizers

    return {kind.unit: kind for kind in (CharacterVocabulary, WordVocabulary, BytePairVocabulary)}


def load_vocabulary(path: Path) -> TextVocabulary:
    """Read a vocabulary that `Vocabulary.save` wrote.

    Raises:
        ValueError: when the file is not one.
        OSError: when it cannot be read.
    """
    try:
        document = json.loads(path.read_bytes())
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError(f"expected {FORMAT} version {VERSION}, got {document['format']} {document['version']}")
        kinds = _kinds()
        if document["unit"] not in kinds:
            raise ValueError(f"unknown unit {document['unit']!r}")
        return kinds[document["unit"]].from_content(document)
    except MALFORMED as error:
        raise ValueError(f"{path}: not a vocabulary of gatewise, or a corrupt one ({error})") from None
