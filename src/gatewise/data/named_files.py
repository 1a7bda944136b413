"""The files that paths, patterns and folders name."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gatewise.data.files import matching
from gatewise.data.tables import is_table
from gatewise.data.text_columns import dataset_files, files_and_datasets_below, is_dataset_folder


def tables_of(paths: Iterable[Path], *, needed: bool = False) -> Iterator[Path]:
    """The tables that paths, patterns and folders name; a folder without tables is listed itself.

    Args:
        paths: a file; a pattern such as ``reviews/*.parquet``; a folder of tables, of which all are taken in the order
            of their paths, in folders within it too; or a folder that ``save_to_disk`` of Hugging Face datasets wrote.
        needed: whether a folder must have tables.

    Raises:
        ValueError: when nothing matches, or a folder has tables and other files, or none although they are needed.
        OSError: when a folder cannot be read.
    """
    for path in _named(paths, _tables_at):
        if needed and path.is_dir():
            raise ValueError(f"{path}: the folder has no tables (.csv, .tsv, .jsonl, .parquet, .arrow)")
        yield path


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that paths, patterns and folders name.

    Args:
        paths: as for `tables_of`, but of a folder all files are taken that are not hidden.

    Raises:
        ValueError: when nothing matches, or a folder has no files.
        OSError: when a folder cannot be read.
    """
    return _named(paths, _files_at)


def _named(paths: Iterable[Path], files_at: Callable[[Path], list[Path]]) -> Iterator[Path]:
    for path in paths:
        # Each once: ``corpus/**`` matches a folder and what is in it.
        yield from dict.fromkeys(file for found in matching(path) for file in files_at(found))


def _files_at(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = dataset_files(path) if is_dataset_folder(path) else files_and_datasets_below(path)
    if not found:
        raise ValueError(f"{path}: the folder has no files")
    return found


def _tables_at(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if is_dataset_folder(path):
        return dataset_files(path)
    files = files_and_datasets_below(path)
    tables = [file for file in files if is_table(file)]
    if not tables:
        return [path]
    if len(tables) < len(files):
        other = next(file for file in files if not is_table(file))
        raise ValueError(
            f"{path}: the folder has tables ({tables[0].relative_to(path)}) and other files "
            f"({other.relative_to(path)}); name those to read with a pattern, such as '{path}/*{tables[0].suffix}'"
        )
    return tables
