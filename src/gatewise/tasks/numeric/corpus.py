"""The sequences of a run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from gatewise.data.numeric_sequences import feature_names, has_row_per_step, read_numeric_sequences
from gatewise.data.sequence_store import NumericSequence, hash_of
from gatewise.progress import say
from gatewise.tasks.builtin_data import is_builtin
from gatewise.tasks.examples import Examples, Kind, read_examples
from gatewise.tasks.numeric.options import NumericOptions


def with_features(options: NumericOptions, paths: Sequence[Path]) -> NumericOptions:
    """The options with the names of the features, where the first of some files has them and the options do not.

    Every other file is then read by them, whatever the order of its columns.

    Raises:
        ValueError, OSError: see `feature_names`.
    """
    if options.feature_columns or not paths or is_builtin(paths[0]):
        return options
    if not has_row_per_step(paths[0], options.sequence_column):
        return options
    names = feature_names(paths[0], options.columns, say, options.table_format)
    return dataclasses.replace(options, feature_columns=tuple(names))


def read_sequences(options: NumericOptions, paths: Sequence[Path]) -> list[NumericSequence]:
    """The sequences of files, with the columns that the options name.

    Raises:
        ValueError, OSError: see `read_numeric_sequences`.
    """
    return read_numeric_sequences(paths, options.columns, say, options.table_format).sequences()


def read_corpus(options: NumericOptions) -> Examples[NumericSequence]:
    """Read and split the sequences that the options name.

    Raises:
        ValueError: when no file is named, or for bad data.
        OSError: for a file that cannot be read.
    """

    def classes_of(example: NumericSequence) -> set[str]:
        labels = example.classes if options.predict in ("sequence", "steps") else set[str]()
        # So that a feature with missing values has some in the training data too.
        return {f"label {label}" for label in labels} | {f"missing {feature}" for feature in example.missing}

    kind = Kind(lambda paths: read_sequences(options, paths), classes_of=classes_of, hash_of=hash_of)
    return read_examples(options, kind, {})
