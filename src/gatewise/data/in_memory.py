"""Tables in memory: data frames, Arrow tables, lists of dicts, Hugging Face datasets; to Arrow and to files.

What a table is shows in what it can do, so that none of the libraries that define one is imported here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from gatewise.data.cells import cell_text, shortened
from gatewise.data.files import as_paths
from gatewise.data.text import check_characters

if TYPE_CHECKING:
    import pyarrow

KINDS = "a data frame of pandas or Polars, an Arrow table, a list of dicts, a dict of columns or a Hugging Face dataset"


def is_in_memory(data: object) -> bool:
    """Whether something is a table in memory; paths, and texts in lists, are not.

    >>> is_in_memory([{"text": "a"}]), is_in_memory({"text": ["a"]}), is_in_memory(["a.csv"]), is_in_memory("a.csv")
    (True, True, False, False)
    """
    if isinstance(data, Mapping) or any(hasattr(data, name) for name in ("__arrow_c_stream__", "column_names")):
        return True
    if isinstance(data, list | tuple):
        return bool(data) and isinstance(data[0], Mapping)
    return hasattr(data, "columns") and hasattr(data, "shape")


def to_arrow(data: Any, where: str = "data") -> "pyarrow.Table":
    """A table in memory as an Arrow table.

    Of a pandas data frame, an index that has a name or consists of time stamps is the first column, and any other is
    skipped. Of a Hugging Face dataset, classes are their names instead of numbers.

    Args:
        data: the table.
        where: what to call it.

    Raises:
        TypeError: when it is none.
        ValueError: when it has no rows or a column holds values of several types.
    """
    import pyarrow

    if isinstance(data, Mapping) and any(map(is_in_memory, data.values())):
        raise TypeError(f"{where}: expected one table, got several ({', '.join(map(repr, data))}); choose one of them")
    frame: Any = data
    index = getattr(frame, "index", None)
    if index is not None and hasattr(frame, "reset_index"):
        named = any(name is not None for name in index.names) or "datetime" in str(index.dtype)
        frame = frame.reset_index(drop=not named)
        _check_names(list(frame.columns), where)
    try:
        table = _table(frame, where)
    except UnicodeEncodeError as error:
        # Arrow says which text it is, not where.
        try:
            check_characters(error.object, where)
        except ValueError as found:
            raise ValueError(f"{found}; in the text {shortened(error.object)}") from None
        raise
    except pyarrow.ArrowException as error:
        raise ValueError(f"{where}: {' '.join(str(error).split())}; expected values of one type in a column") from None
    _check_names(table.column_names, where)
    if not table.num_rows:
        raise ValueError(f"{where}: there are no rows in it")
    return _with_class_names(table, getattr(data, "features", None))


def _check_names(names: Sequence[Any], where: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{where}: two columns are named {twice!r}; rename one of them")


def _table(data: Any, where: str) -> "pyarrow.Table":
    import pyarrow

    if hasattr(data, "__arrow_c_stream__"):
        return pyarrow.table(data)
    if isinstance(data, Mapping):
        return pyarrow.table(dict(data))
    if hasattr(data, "with_format") and hasattr(data, "__getitem__"):
        # As Arrow at once, with the rows that were selected.
        return pyarrow.table(data.with_format("arrow")[:])
    if hasattr(data, "columns") and hasattr(data, "shape"):
        return pyarrow.Table.from_pandas(data, preserve_index=False)
    if not isinstance(data, Iterable):
        raise TypeError(f"{where}: expected {KINDS}, got {type(data).__name__}")
    rows = list(data)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise TypeError(f"{where}: row {number}: expected a dict, got {row!r:.60}")
    names = dict.fromkeys(name for row in rows for name in row)
    return pyarrow.table({name: _column(rows, name, where) for name in names})


def _column(rows: Sequence[Mapping[Any, Any]], name: Any, where: str) -> Any:
    import pyarrow

    if not isinstance(name, str):
        raise TypeError(f"{where}: expected names of columns, got {name!r:.60}")
    values = [row.get(name) for row in rows]
    try:
        return pyarrow.array(values)
    except pyarrow.ArrowException as error:
        first = next(value for value in values if value is not None)
        odd = next((n for n, value in enumerate(values, 1) if value is not None and type(value) is not type(first)), 0)
        location = f"row {odd}: {name!r}: expected {type(first).__name__}, as before, got {values[odd - 1]!r:.60}"
        raise ValueError(f"{where}: {location if odd else f'{name!r}: {error}'}") from None


def _with_class_names(table: "pyarrow.Table", features: Any) -> "pyarrow.Table":
    """The table with the names of classes where a Hugging Face dataset has their numbers."""
    import pyarrow

    for position, name in enumerate(table.column_names if isinstance(features, Mapping) else ()):
        feature = features.get(name)
        names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
        if isinstance(names, list):
            values = [_named(value, names) for value in table.column(name).to_pylist()]
            table = table.set_column(position, name, pyarrow.array(values))
    return table


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    # Datasets write -1 where a label is not known.
    return names[value] if isinstance(value, int) and value >= 0 else None


def write_table(data: Any, folder: Path, name: str) -> Path:
    """Write a table in memory to a Parquet file.

    Args:
        data: the table.
        folder: where to write it.
        name: of the file, without its ending; it is in messages.

    Raises:
        TypeError, ValueError: as `to_arrow`.
    """
    from pyarrow import parquet

    path = folder / f"{name}.parquet"
    parquet.write_table(to_arrow(data, name), path, write_page_checksum=True)
    return path


def write_text(data: Any, folder: Path, name: str) -> Path:
    """Write the column ``text`` of a table in memory to a text file, a line end after each text.

    Args:
        data, folder, name: as for `write_table`.

    Raises:
        TypeError, ValueError: as `to_arrow`, and for something that is not text.
    """
    path = folder / f"{name}.txt"
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, text in enumerate(column_of(data, "text", name), 1):
            file.write(cell_text(text, f"{name}: row {number}", "text", text=True) + "\n")
    return path


@contextmanager
def as_files(
    data: Any, name: str = "data", write: Callable[[Any, Path, str], Path] = write_table
) -> Iterator[list[Path]]:
    """Paths, or a table in memory, as files for the block.

    Args:
        data: one path, several, or a table.
        name: what to call a table in messages.
        write: writes a table.

    Raises:
        TypeError: for something else.
        ValueError: as `to_arrow`.
    """
    if not is_in_memory(data):
        yield as_paths(data)
        return
    with TemporaryDirectory(prefix="gatewise-") as folder, named_instead(Path(folder)):
        yield [write(data, Path(folder), name)]


@contextmanager
def named_instead(folder: Path) -> Iterator[None]:
    """Take the temporary files of a folder out of the messages of errors, which call them by their names alone."""
    try:
        yield
    except ValueError as error:
        if type(error) is not ValueError or str(folder) not in str(error):
            raise
        raise ValueError(re.sub(rf"{re.escape(str(folder))}/(\w+)\.(parquet|txt)", r"\1", str(error))) from None


def texts_of(data: Any, column: str) -> list[str]:
    """A column of text of a table in memory.

    Raises:
        TypeError, ValueError: as `column_of`, and for something that is not text.
    """
    values = column_of(data, column)
    return [cell_text(value, f"data: row {number}", column, text=True) for number, value in enumerate(values, 1)]


def column_of(data: Any, column: str, where: str = "data") -> list[Any]:
    """A column of a table in memory.

    Raises:
        TypeError, ValueError: as `to_arrow`, and when it has no such column.
    """
    table = to_arrow(data, where)
    if column not in table.column_names:
        raise ValueError(f"{where}: no column {column!r}; it has {', '.join(map(repr, table.column_names[:20]))}")
    return table.column(column).to_pylist()
