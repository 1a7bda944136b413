"""Columns of Parquet files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatewise.data.cells import column_place
from gatewise.extras import require


def parquet_names(path: Path) -> list[str]:
    """The names of the columns.

    Raises:
        MissingExtraError: when pyarrow is not installed.
        ValueError: when it is not Parquet.
        OSError: when it cannot be read.
    """
    _require_arrow(path)
    from pyarrow import parquet

    with _named(path, "not Parquet, or a corrupt file"), path.open("rb") as file:
        return list(parquet.read_schema(file).names)


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The values of some columns, each row with its number.

    Raises:
        ValueError: when a column is missing or there twice, or the file is corrupt.
        OSError: when it cannot be read.
    """
    names = parquet_names(path)
    for column in columns:
        column_place(path, column, names)
    from pyarrow import parquet

    with _named(path, "a corrupt Parquet file"), path.open("rb") as file:
        table = parquet.read_table(file, columns=list(columns), page_checksum_verification=True)
        values = [table.column(column).to_pylist() for column in columns]
    yield from enumerate(zip(*values, strict=True), 1)


def _require_arrow(path: Path) -> None:
    require(f"{path}: Parquet", "tasks", "pyarrow")


@contextmanager
def _named(path: Path, what: str) -> Iterator[None]:
    """What Arrow raises, as a ValueError that names the file; what the system raises about a file names it already."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        told = " ".join(str(error).split())
        raise ValueError(f"{path}: {what} ({told})") from None
