"""The tokens of a language model's text: in memory, or encoded once into the cache where the text is too large."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gatewise.compiler import build_cache
from gatewise.data.encoded_text import EncodedText, encode_in_memory
from gatewise.data.texts import Text
from gatewise.data.token_store import key_of, store_texts, stored_texts
from gatewise.data.vocabulary import TextVocabulary
from gatewise.progress import say
from gatewise.tasks.checkpoint_io import same_data
from gatewise.tasks.language_model.corpus import Corpus, read_corpus
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.run_folder import RunFolder

_FOLDER = "tokens"
_TRAINING = "training"


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
    stored = _cached(key)
    encoded = None if stored is None else stored_texts(stored)
    if encoded is None:
        return encode_corpus(same_data(folder, read_corpus(options)), options, vocabulary)
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
    folder = token_folder() / key
    with _alone(folder):
        found = stored_texts(folder)
        if found is None:
            build_cache.remove_leftovers(folder.parent)
            with TemporaryDirectory(prefix=build_cache.WORK, dir=folder.parent, ignore_cleanup_errors=True) as work:
                store_texts(folder, Path(work), texts, vocabulary)
            found = stored_texts(folder)
    if found is None:
        raise OSError(f"{folder}: was removed while it was in use; try again")
    return found, folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: whoever comes second, such as another rank, finds the tokens of the first."""
    path = folder.with_name(f"{build_cache.WORK}{folder.name}.lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process, which encodes the same text into {folder}")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: the texts are encoded twice, and one result is dropped
            pass
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def token_folder() -> Path:
    """The part of the cache that has tokens, made if necessary.

    Raises:
        OSError: when it cannot be made, belongs to another user, or others can write to it.
    """
    try:
        path = build_cache.private_folder() / _FOLDER
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        hint = f"the tokens of a large text go there; name a folder of your own with {build_cache.VARIABLE}"
        raise type(error)(error.errno, f"{error.strerror}; {hint}", error.filename) from None
    return path


def _cached(key: str) -> Path | None:
    """Where the tokens are, if they are in the cache; nothing is made for that."""
    try:
        folder = build_cache.folder() / _FOLDER / key
        return token_folder() / key if folder.is_dir() else None
    except OSError:
        return None  # there is no cache, or others can write to it


def _held_out(options: LanguageModelOptions) -> float | None:
    return None if options.valid else options.held_out
