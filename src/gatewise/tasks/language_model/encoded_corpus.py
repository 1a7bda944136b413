"""The tokens of a language model's text: in memory, or encoded once into the cache where the text is too large."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gatewise.data.encoded_text import EncodedText, encode_in_memory
from gatewise.data.text import CHUNK
from gatewise.data.texts import Text
from gatewise.data.token_store import key_of, store_texts, stored_texts
from gatewise.data.vocabularies import build_vocabulary, load_vocabulary
from gatewise.data.vocabulary import TextVocabulary
from gatewise.tasks import data_cache
from gatewise.tasks.checkpoint_io import check_unchanged
from gatewise.tasks.language_model.corpus import Corpus, Sample, read_corpus
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.run_folder import RunFolder

TOKENS = "tokens"
"""The kind of their entries in the cache."""
_TRAINING = "training"
_VOCABULARY, _SAMPLE, _VERSION = "vocabulary.json", "sample.txt", 1


@dataclass(frozen=True)
class EncodedCorpus:
    """A `Corpus` as tokens.

    Attributes:
        source, hashes: see there.
        training: what the model learns from.
        scored: what it is scored on, by name.
        stored: the folder that has the tokens, None where they are in memory.
    """

    source: str
    hashes: Mapping[str, str]
    training: EncodedText
    scored: dict[str, EncodedText]
    stored: Path | None


def learn_vocabulary(corpus: Corpus, options: LanguageModelOptions) -> tuple[TextVocabulary, str]:
    """The vocabulary of the training text, and what it was learned from if not from all of it.

    That of a text too large for memory is kept in the cache, under the SHA-256 of the text and all that decides how it
    is learned.

    Raises:
        ValueError: when the size does not suit the unit, or a file has changed since it was opened.
        OSError: when a file cannot be read, or the cache cannot be written.
    """
    sample = Sample.of(corpus.training, options.unit)

    def learn() -> TextVocabulary:
        return build_vocabulary(options.unit, sample.chunks(), options.vocabulary_size)

    if corpus.training.in_memory:
        return learn(), sample.fact

    def make(folder: Path) -> None:
        learn().save(folder / _VOCABULARY)
        (folder / _SAMPLE).write_text(sample.fact)

    def read(folder: Path) -> tuple[TextVocabulary, str] | None:
        try:
            return load_vocabulary(folder / _VOCABULARY), (folder / _SAMPLE).read_text()
        except (OSError, ValueError):
            return None

    content = {
        "version": _VERSION,
        "text": corpus.hashes["data"],
        "held_out": _held_out(options),
        "characters": corpus.training.characters,
        "unit": options.unit,
        "size": options.vocabulary_size,
        "every": sample.every,
        "part": CHUNK,
    }
    key = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return data_cache.find_or_make("vocabularies", key, read, make, "learns the vocabulary of the same text")[0]


def encode_corpus(corpus: Corpus, options: LanguageModelOptions, vocabulary: TextVocabulary) -> EncodedCorpus:
    """The tokens of a corpus.

    Raises:
        ValueError: when a file has changed since it was opened.
        OSError: when a file cannot be read, or the cache cannot be written.
    """
    texts = {_TRAINING: corpus.training, **corpus.scored}
    key = key_of(corpus.hashes, _held_out(options), vocabulary)
    encoded, stored = encode_texts(texts, key, vocabulary)
    return EncodedCorpus(corpus.source, corpus.hashes, encoded.pop(_TRAINING), encoded, stored)


def open_corpus(folder: RunFolder, options: LanguageModelOptions, vocabulary: TextVocabulary) -> EncodedCorpus:
    """The tokens of the data of a run: those of the cache, or of the files, read again.

    Raises:
        ValueError: when the files are not what they were.
        OSError: when a file cannot be read, or the cache cannot be written.
    """
    began = folder.read_description()
    key = key_of(began["sha256"], _held_out(options), vocabulary)
    found = data_cache.find(TOKENS, key, stored_texts)
    if found is None:
        return encode_corpus(check_unchanged(folder, read_corpus(options)), options, vocabulary)
    encoded, stored = found
    return EncodedCorpus(str(began.get("source")), began["sha256"], encoded.pop(_TRAINING), encoded, stored)


def encode_texts(
    texts: Mapping[str, Text], key: str, vocabulary: TextVocabulary
) -> tuple[dict[str, EncodedText], Path | None]:
    """The tokens of texts, and the folder that has them if they are not in memory.

    Args:
        texts: the texts by name.
        key: what they are called in the cache.
        vocabulary: of the tokens.

    Raises:
        ValueError: when a file has changed since it was opened, or the disk is too full.
        OSError: when a file cannot be read, or the cache cannot be written.
    """
    if all(text.in_memory for text in texts.values()):
        return {name: encode_in_memory(text, vocabulary) for name, text in texts.items()}, None
    return data_cache.find_or_make(
        TOKENS, key, stored_texts, lambda work: store_texts(work, texts, vocabulary), "encodes the same text"
    )


def _held_out(options: LanguageModelOptions) -> float | None:
    return None if options.valid else options.held_out
