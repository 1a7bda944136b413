"""The labelled texts of a run."""

import platform
from collections.abc import Sequence
from pathlib import Path

from gatewise.data.labelled_texts import LabelledText, read_labelled_texts
from gatewise.data.standard_library import docstrings
from gatewise.tasks.classification.options import ClassificationOptions, LabelledTextOptions
from gatewise.tasks.examples import Examples, read_examples


def read_labelled(options: LabelledTextOptions, paths: Sequence[Path]) -> list[LabelledText]:
    """The labelled texts of files, in the columns that the options name.

    Raises:
        ValueError, OSError: as `read_labelled_texts`.
    """
    return read_labelled_texts(paths, options.text_column, options.label_column, options.table_format)


def read_corpus(options: ClassificationOptions) -> Examples[LabelledText]:
    """Read and split the texts that the options name, or docstrings with where they come from.

    Raises:
        ValueError: for bad data.
        OSError: for a file that cannot be read.
    """
    return read_examples(
        options, lambda paths: read_labelled(options, paths), {"docstrings": _default}, lambda example: example[1:]
    )


def _default() -> tuple[str, list[LabelledText]]:
    source = f"docstrings of the standard library of Python {platform.python_version()}, by package"
    return source, docstrings()
