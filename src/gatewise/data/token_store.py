"""Texts that were encoded once, in a folder: all of their tokens, or nothing."""

import json
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

from gatewise.data.encoded_text import EncodedText, encoded_chunks
from gatewise.data.shards import open_shards, write_shards
from gatewise.data.texts import Text
from gatewise.data.vocabulary import TextVocabulary
from gatewise.data.vocabulary_file import MALFORMED
from gatewise.writing import atomic_write

_VERSION = 1
_INDEX = "texts.json"


def key_of(hashes: Mapping[str, str], held_out: float | None, vocabulary: TextVocabulary) -> str:
    """The name under which encoded texts are found again.

    Args:
        hashes: the SHA-256 of the files' texts, by name.
        held_out: the share that was held out of the first, if any.
        vocabulary: of their tokens.
    """
    encoding = sha256(vocabulary.to_json().encode()).hexdigest()
    content = {"version": _VERSION, "texts": dict(hashes), "held_out": held_out, "vocabulary": encoding}
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def stored_texts(folder: Path) -> dict[str, EncodedText] | None:
    """The texts that `store_texts` left in a folder, by name; None where they are missing or incomplete."""
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        dtype = np.dtype(index["dtype"])
        found = {
            name: (open_shards(folder, name, dtype, of_text["shards"]), of_text["characters"])
            for name, of_text in index["texts"].items()
        }
    except (OSError, *MALFORMED):
        return None
    texts = {name: EncodedText(ids, characters) for name, (ids, characters) in found.items() if ids is not None}
    return texts if len(texts) == len(found) else None


def store_texts(folder: Path, texts: Mapping[str, Text], vocabulary: TextVocabulary) -> None:
    """Encode texts and leave their tokens in a folder, for `stored_texts`.

    Args:
        folder: the folder, which is empty.
        texts: the texts, by names that can be those of files.
        vocabulary: of their tokens.

    Raises:
        ValueError: when a file of the texts has changed, or the disk is too full.
        OSError: when a file cannot be read or written.
    """
    if vocabulary.unit == "char":  # of other units it is not known how many tokens there will be
        _check_space(folder, vocabulary.dtype.itemsize * sum(text.characters for text in texts.values()))
    shards = {name: write_shards(folder, name, blocks) for name, blocks in encoded_chunks(texts, vocabulary).items()}
    index = {name: {"characters": text.characters, "shards": shards[name]} for name, text in texts.items()}
    with atomic_write(folder / _INDEX) as file:
        file.write(json.dumps({"dtype": vocabulary.dtype.name, "texts": index}).encode())


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"{folder.parent}: the tokens of the data need {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free; "
            "set the environment variable GATEWISE_CACHE to a folder on another disk"
        )
