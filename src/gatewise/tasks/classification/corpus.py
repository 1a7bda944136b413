"""The labelled texts of a run."""

import platform
from collections.abc import Sequence
from pathlib import Path

from gatewise.data.labelled_texts import LabelledText, read_labelled_texts, why_no_label
from gatewise.data.standard_library import docstrings
from gatewise.tasks.classification.label_set import split_labels
from gatewise.tasks.classification.number import why_no_number
from gatewise.tasks.classification.options import ClassificationOptions, LabelledTextOptions
from gatewise.tasks.examples import Examples, read_examples


def read_labelled(options: LabelledTextOptions, paths: Sequence[Path]) -> list[LabelledText]:
    """The labelled texts of files, in the columns that the options name.

    Raises:
        ValueError, OSError: as `read_labelled_texts`.
    """
    wrong = {"label": why_no_label, "labels": lambda _: None, "number": why_no_number}[options.target]
    return read_labelled_texts(paths, options.text_column, options.label_column, options.table_format, wrong)


def read_corpus(options: ClassificationOptions) -> Examples[LabelledText]:
    """Read and split the texts that the options name, or docstrings with where they come from.

    Raises:
        ValueError: for bad data.
        OSError: for a file that cannot be read.
    """

    def classes_of(example: LabelledText) -> Sequence[str]:
        if options.target == "number":
            return ()
        return split_labels(example[1], options.label_separator) if options.target == "labels" else example[1:]

    return read_examples(options, lambda paths: read_labelled(options, paths), {"docstrings": _default}, classes_of)


def _default() -> tuple[str, list[LabelledText]]:
    source = f"docstrings of the standard library of Python {platform.python_version()}, by package"
    return source, docstrings()
