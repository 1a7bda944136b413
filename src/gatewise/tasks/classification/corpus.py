"""The labelled texts of a run."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatewise.data.labelled_texts import LabelledText, labelled_texts, why_no_label
from gatewise.data.standard_library import docstrings
from gatewise.tasks.classification.label_set import split_labels
from gatewise.tasks.classification.number import why_no_number
from gatewise.tasks.classification.options import LabelledTextOptions
from gatewise.tasks.examples import Builtin, ExampleSource


def labelled_data(options: LabelledTextOptions) -> ExampleSource[LabelledText]:
    """How labelled texts are read: from the columns that the options name, or docstrings with their packages."""
    wrong = {"label": why_no_label, "labels": lambda _: None, "number": why_no_number}[options.target]

    def read(paths: Sequence[Path]) -> Iterator[LabelledText]:
        return labelled_texts(paths, options.text_column, options.label_column, options.table_format, wrong)

    def classes_of(example: LabelledText) -> Sequence[str]:
        if options.target == "number":
            return ()
        return split_labels(example[1], options.label_separator) if options.target == "labels" else example[1:]

    name = f"{options.target} {options.label_separator}"
    builtin = Builtin("docstrings of the standard library of Python {python}, by package", docstrings)
    return ExampleSource(read, _restored, classes_of, name, builtin={"docstrings": builtin})


def _restored(value: list[str]) -> LabelledText:
    text, label = value
    return text, sys.intern(label)
