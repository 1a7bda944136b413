"""The tagged sentences of a run."""

import platform
from collections.abc import Sequence
from pathlib import Path

from gatewise.data.columns import TaggedWords, read_tagged_words
from gatewise.data.standard_library import typed_programs
from gatewise.tasks.examples import Examples, read_examples
from gatewise.tasks.tagging.options import TaggedTextOptions, TaggingOptions

_CHARACTERS, _PIECE = 350_000, 200


def read_sentences(options: TaggedTextOptions, paths: Sequence[Path]) -> list[TaggedWords]:
    """The tagged sentences of files, in the columns that the options name.

    Raises:
        ValueError, OSError: as `read_tagged_words`.
    """
    return read_tagged_words(paths, options.word_column, options.tag_column)


def read_corpus(options: TaggingOptions) -> Examples[TaggedWords]:
    """Read and split the sentences that the options name, or Python programs with the types of their tokens.

    Raises:
        ValueError: for bad data.
        OSError: for a file that cannot be read.
    """
    return read_examples(options, lambda paths: read_sentences(options, paths), {"programs": _default})


def _default() -> tuple[str, list[TaggedWords]]:
    source = f"programs of the standard library of Python {platform.python_version()}, token types by character"
    return source, typed_programs(_CHARACTERS, _PIECE)
