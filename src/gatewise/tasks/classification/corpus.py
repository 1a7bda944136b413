"""The labelled texts of a run."""

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gatewise.data.labelled_texts import LabelledText, labelled_texts, why_no_label
from gatewise.data.standard_library import docstrings
from gatewise.tasks.classification.label_set import split_labels
from gatewise.tasks.classification.number import why_no_number
from gatewise.tasks.classification.options import ClassificationOptions, LabelledTextOptions
from gatewise.tasks.examples import Examples, Kind, read_all, read_examples


def read_labelled(options: LabelledTextOptions, paths: Sequence[Path]) -> Sequence[LabelledText]:
    """The labelled texts of files, in the columns that the options name.

    Raises:
        ValueError, OSError: as `labelled_texts`.
    """
    return read_all(_kind(options), paths)[0]


def read_corpus(options: ClassificationOptions, known: Mapping[str, str] | None = None) -> Examples[LabelledText]:
    """Read and split the texts that the options name, or docstrings with where they come from.

    Args:
        options: the options.
        known: the hashes of the run that the texts are of, see `read_examples`.

    Raises:
        ValueError: for bad data.
        OSError: for a file that cannot be read.
    """
    return read_examples(options, _kind(options), {"docstrings": _default}, known)


def _kind(options: LabelledTextOptions) -> Kind[LabelledText]:
    wrong = {"label": why_no_label, "labels": lambda _: None, "number": why_no_number}[options.target]

    def read(paths: Sequence[Path]) -> Iterator[LabelledText]:
        return labelled_texts(paths, options.text_column, options.label_column, options.table_format, wrong)

    def classes_of(example: LabelledText) -> Sequence[str]:
        if options.target == "number":
            return ()
        return split_labels(example[1], options.label_separator) if options.target == "labels" else example[1:]

    return Kind(read, _restored, classes_of, f"{options.target} {options.label_separator}")


def _restored(value: list[str]) -> LabelledText:
    text, label = value
    return text, sys.intern(label)


def _default() -> tuple[str, list[LabelledText]]:
    source = f"docstrings of the standard library of Python {platform.python_version()}, by package"
    return source, docstrings()
