"""Running text from a column of tables in Arrow's formats, as Hugging Face datasets keep them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatewise.data.files import files_below
from gatewise.data.parquet import arrow_errors_of, ipc_batches, open_ipc
from gatewise.data.text import CHUNK
from gatewise.extras import require

COLUMN = "text"
_TABLES = (".arrow", ".parquet")
_STATE, _SPLITS = "state.json", "dataset_dict.json"
_ROWS = 1024


def is_table(path: Path) -> bool:
    """Whether a file is such a table, by its name."""
    return path.suffix.lower() in _TABLES


def is_dataset_folder(path: Path) -> bool:
    """Whether ``save_to_disk`` of Hugging Face datasets wrote this folder."""
    return (path / _STATE).is_file() or (path / _SPLITS).is_file()


def dataset_files(folder: Path) -> list[Path]:
    """The tables of a Hugging Face dataset, in order.

    Raises:
        ValueError: when the folder has several splits, or is corrupt.
        OSError: when it cannot be read.
    """
    try:
        if (folder / _SPLITS).is_file():
            names = ", ".join(str(folder / name) for name in json.loads((folder / _SPLITS).read_bytes())["splits"])
            raise ValueError(f"{folder}: a dataset with splits; name one of them: {names}")
        return [folder / entry["filename"] for entry in json.loads((folder / _STATE).read_bytes())["_data_files"]]
    except (json.JSONDecodeError, LookupError, TypeError) as error:
        raise ValueError(f"{folder}: not a dataset that save_to_disk wrote, or a corrupt one ({error})") from None


def files_and_datasets_below(folder: Path) -> list[Path]:
    """The files of a folder and of those in it, in order, and instead of the files of a dataset its tables.

    Raises:
        ValueError, OSError: as `dataset_files`, and when a folder cannot be read.
    """
    entries = files_below(folder, is_dataset_folder)
    return [file for entry in entries for file in (dataset_files(entry) if entry.is_dir() else [entry])]


def column_chunks(path: Path) -> Iterator[str]:
    """The text of a table part by part: its column "text", each row as a line of its own, or several.

    Raises:
        ValueError: when the table has no such column, a row has no text, or the file is corrupt.
        MissingExtraError: when pyarrow is not installed.
        OSError: when it cannot be read.
    """
    require(f"{path}: {path.suffix.removeprefix('.').capitalize()}", "tasks", "pyarrow")
    rows, pending, size = 0, list[str](), 0
    for values in _batches(path):
        for row, value in enumerate(values, rows + 1):
            if value is None or "\0" in value:
                what = "no text (null)" if value is None else "a NUL character, which text does not have"
                raise ValueError(f"{path}: row {row}: {what} in the column {COLUMN!r}")
            pending.append(value if value.endswith("\n") else f"{value}\n")
            size += len(pending[-1])
        rows += len(values)
        if size >= CHUNK:
            yield "".join(pending)
            pending, size = [], 0
    if not rows:
        raise ValueError(f"{path}: the table is empty; expected rows of text")
    if pending:
        yield "".join(pending)


def _batches(path: Path) -> Iterator[list[Any]]:
    """The values of the column, some rows at a time."""
    import pyarrow
    from pyarrow import parquet

    with arrow_errors_of(path, "not a table, or a corrupt one"), path.open("rb") as file:
        if path.suffix.lower() == ".parquet":
            table = parquet.ParquetFile(file, page_checksum_verification=True)
            _check(path, table.schema_arrow)
            for batch in table.iter_batches(_ROWS, columns=[COLUMN]):
                yield batch.column(0).to_pylist()
            return
        with pyarrow.memory_map(str(path)) as source:
            reader = open_ipc(source)
            position = _check(path, reader.schema)
            for batch in ipc_batches(reader):
                for start in range(0, batch.num_rows, _ROWS):
                    yield batch.column(position).slice(start, _ROWS).to_pylist()


def _check(path: Path, schema: Any) -> int:
    """The index of the column, which is of text."""
    from pyarrow import types

    if schema.names.count(COLUMN) != 1:
        raise ValueError(
            f"{path}: expected one column {COLUMN!r}, got {', '.join(map(repr, schema.names[:20]))}; rename the "
            "one that has the text"
        )
    position = schema.names.index(COLUMN)
    kind = schema.field(position).type
    if not (types.is_string(kind) or types.is_large_string(kind)):
        raise ValueError(f"{path}: the column {COLUMN!r} is of type {kind}; expected strings")
    return position
