"""The sequences of a run."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gatewise.compiler import build_cache
from gatewise.data.named_files import tables_of
from gatewise.data.numeric_sequences import read_numeric_sequences
from gatewise.data.sequence_store import NumericSequence, hash_of
from gatewise.progress import say
from gatewise.tasks.examples import ExampleSource
from gatewise.tasks.numeric.options import NumericOptions


def read_sequences(options: NumericOptions, paths: Sequence[Path]) -> list[NumericSequence]:
    """The sequences of files, with the columns that the options name.

    Those that are too many for memory are in files of the cache, mapped into memory. These have no names any more once
    they are mapped, so that they go with the process, whatever ends it.

    Args:
        options: the options.
        paths: files, folders of tables, or patterns such as ``motions/*.parquet``.

    Raises:
        ValueError, OSError: see `read_numeric_sequences`.
    """
    with ExitStack() as stack:

        def make_folder() -> Path:
            above = build_cache.private_folder() / "sequences"
            above.mkdir(mode=0o700, exist_ok=True)
            build_cache.remove_leftovers(above)
            work = stack.enter_context(
                TemporaryDirectory(prefix=build_cache.WORK, dir=above, ignore_cleanup_errors=True)
            )
            say(f"sequences: too many for memory; written to {above}, a folder of {build_cache.VARIABLE}")
            return Path(work)

        files = files_of(paths)
        found = read_numeric_sequences(files, options.columns, say, options.table_format, make_folder)
        return found.sequences()


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The tables that paths, patterns and folders name, each once.

    Raises:
        ValueError: when nothing matches a pattern, or a folder has no tables.
        OSError: when a folder cannot be read.
    """
    found = list(dict.fromkeys(tables_of(paths)))
    for path in found:
        if path.is_dir():
            raise ValueError(f"{path}: the folder has no tables (.csv, .tsv, .jsonl, .parquet, .arrow)")
    return found


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
