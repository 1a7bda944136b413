"""The sequences of a run."""

from collections.abc import Sequence
from pathlib import Path

from gatewise.data.numeric_sequences import NumericSequence, read_numeric_sequences
from gatewise.tasks.examples import Examples, read_examples
from gatewise.tasks.numeric.options import NumericOptions


def read_sequences(options: NumericOptions, paths: Sequence[Path]) -> list[NumericSequence]:
    """The sequences of files, with the columns that the options name.

    Raises:
        ValueError, OSError: see `read_numeric_sequences`.
    """
    columns = options.sequence_column, options.label_column, options.feature_columns
    return read_numeric_sequences(paths, *columns)


def read_corpus(options: NumericOptions) -> Examples[NumericSequence]:
    """Read and split the sequences that the options name.

    Raises:
        ValueError: when no file is named, or for bad data.
        OSError: for a file that cannot be read.
    """
    return read_examples(options, lambda paths: read_sequences(options, paths), None)
