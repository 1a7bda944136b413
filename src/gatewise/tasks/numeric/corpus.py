"""The sequences of a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gatewise.data.named_files import tables_of
from gatewise.data.numeric_sequences import read_numeric_sequences
from gatewise.data.sequence_store import NumericSequence, hash_of
from gatewise.progress import say
from gatewise.tasks import data_cache
from gatewise.tasks.examples import ExampleSource
from gatewise.tasks.numeric.options import NumericOptions


def read_sequences(options: NumericOptions, paths: Sequence[Path]) -> list[NumericSequence]:
    """The sequences of files, with the columns that the options name.

    Sequences that exceed memory are written to files of the cache and memory-mapped. The files are unlinked once they
    are mapped, so that they disappear with the process, however it ends.

    Args:
        options: the options.
        paths: files, folders of tables, or patterns such as ``motions/*.parquet``.

    Raises:
        ValueError, OSError: see `tables_of` and `read_numeric_sequences`.
    """
    with data_cache.folder_on_demand("sequences", "sequences: too many for memory; written to {}") as make_folder:
        files = list(dict.fromkeys(tables_of(paths, needed=True)))
        return read_numeric_sequences(files, options.columns, say, options.table_format, make_folder).sequences()


def with_features(options: NumericOptions, sequences: Sequence[NumericSequence]) -> NumericOptions:
    """The options with the names of the features of sequences, where the options have none.

    Other files are then read by these names, whatever the order of their columns.
    """
    return options if options.feature_columns else replace(options, feature_columns=sequences[0].feature_names)


def numeric_data(options: NumericOptions) -> ExampleSource[NumericSequence]:
    """How sequences are read, in the columns that the options name, or else in those that are read first."""
    known: dict[frozenset[str], frozenset[str]] = {}

    def classes_of(example: NumericSequence) -> frozenset[str]:
        labels = example.classes if options.predict in ("sequence", "steps") else set[str]()
        # So that a feature with missing values has some in the training data too.
        found = frozenset([f"label {one}" for one in labels] + [f"missing {feature}" for feature in example.missing])
        return known.setdefault(found, found)

    def read(paths: Sequence[Path]) -> list[NumericSequence]:
        nonlocal options
        sequences = read_sequences(options, paths)
        options = with_features(options, sequences)
        return sequences

    return ExampleSource(read, classes_of=classes_of, hash_of=hash_of)
