"""Columns of Parquet files, and of Arrow's own: Feather and other IPC files and streams."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatewise.data.cells import column_position
from gatewise.extras import require

TYPED = (".parquet", ".arrow", ".feather")
"""Endings of files whose columns have types."""

_FILE_FORMAT = b"ARROW1"
_ROWS = 8192


def typed_names(path: Path) -> list[str]:
    """The names of the columns.

    Raises:
        MissingExtraError: when pyarrow is not installed.
        ValueError: when it is not such a file.
        OSError: when it cannot be read.
    """
    _require_arrow(path)
    with arrow_errors_of(path, f"not {_title(path)}, or a corrupt file"), path.open("rb") as file:
        if path.suffix.lower() == ".parquet":
            from pyarrow import parquet

            return list(parquet.read_schema(file).names)
        return list(open_ipc(file).schema.names)


def typed_columns(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """Some columns as Arrow arrays, some rows at a time.

    Raises:
        ValueError: when a column is missing or there twice, or the file is corrupt.
        OSError: when it cannot be read.
    """
    names = typed_names(path)
    positions = [column_position(path, column, names) for column in columns]
    with arrow_errors_of(path, f"a corrupt {_title(path)} file"), path.open("rb") as file:
        if path.suffix.lower() == ".parquet":
            from pyarrow import parquet

            table = parquet.ParquetFile(file, page_checksum_verification=True)
            # One row group at a time: an iterator over all of them keeps what it has read.
            options: dict[str, Any] = {"columns": list(dict.fromkeys(columns)), "use_threads": False}
            for group in range(table.num_row_groups):
                for batch in table.iter_batches(_ROWS, row_groups=[group], **options):
                    yield [batch.column(column) for column in columns]
            return
        for batch in ipc_batches(open_ipc(file)):
            for start in range(0, batch.num_rows, _ROWS):
                yield [batch.column(position).slice(start, _ROWS) for position in positions]


def ipc_batches(reader: Any) -> Iterator[Any]:
    """The record batches of what `open_ipc` opened, one at a time."""
    from pyarrow import ipc

    whole = isinstance(reader, ipc.RecordBatchFileReader)
    return map(reader.get_batch, range(reader.num_record_batches)) if whole else iter(reader)


def open_ipc(file: Any) -> Any:
    """A reader of the IPC file format, which can be read in any order, or of its streams, which datasets use."""
    from pyarrow import ipc

    magic = file.read(len(_FILE_FORMAT))
    file.seek(0)
    return ipc.open_file(file) if magic == _FILE_FORMAT else ipc.open_stream(file)


def _title(path: Path) -> str:
    return {".parquet": "Parquet", ".feather": "Feather"}.get(path.suffix.lower(), "Arrow")


def _require_arrow(path: Path) -> None:
    require(f"{path}: {_title(path)}", "tasks", "pyarrow")


@contextmanager
def arrow_errors_of(path: Path, what: str) -> Iterator[None]:
    """What Arrow raises in the block, as a ValueError that names the file; errors that name it already stay.

    Args:
        path: the file.
        what: what is wrong with it then.
    """
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        if str(error).startswith(f"{path}: ") or (isinstance(error, OSError) and error.filename is not None):
            raise
        message = " ".join(str(error).split())
        raise ValueError(f"{path}: {what} ({message})") from None
