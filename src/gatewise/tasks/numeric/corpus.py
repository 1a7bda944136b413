"""The sequences of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path

from gatewise.data.named_files import tables_of
from gatewise.data.numeric_sequences import read_numeric_sequences
from gatewise.data.sequence_store import NumericSequence
from gatewise.progress import say
from gatewise.tasks import data_cache
from gatewise.tasks.numeric.options import NumericOptions


def read_sequences(options: NumericOptions, paths: Sequence[Path]) -> list[NumericSequence]:
    """The sequences of files, with the columns that the options name.

    Sequences that exceed memory are mapped from files of the cache.

    Args:
        options: the options.
        paths: files, folders of tables, or patterns such as ``motions/*.parquet``.

    Raises:
        ValueError, OSError: see `tables_of` and `read_numeric_sequences`.
    """
    files = list(dict.fromkeys(tables_of(paths, needed=True)))

    def read(make_folder: Callable[[], Path]) -> list[NumericSequence]:
        return read_numeric_sequences(files, options.columns, say, options.table_format, make_folder).sequences()

    return data_cache.mapped("sequences", read, "sequences")
