"""Copies of the data in the run folder, for runs on data that may not be there later, such as a table in memory."""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from gatewise.data.in_memory import is_in_memory, named_instead, write_table, write_text
from gatewise.tasks.builtin_data import is_builtin
from gatewise.tasks.training_options import TrainingOptions

Options = TypeVar("Options", bound=TrainingOptions)

_PARTS = ("data", "valid", "test")


def with_files(task: str, options: Mapping[str, Any], stack: ExitStack) -> dict[str, Any]:
    """Options with files instead of tables in memory, of which the run then keeps copies.

    Args:
        task: the name of the task.
        options: values by name.
        stack: the files are there until it is closed.

    Raises:
        TypeError, ValueError: see `gatewise.data.in_memory.to_arrow`.
    """
    tables = {name: options[name] for name in _PARTS if is_in_memory(options.get(name))}
    if not tables:
        return dict(options)
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="gatewise-")))
    stack.enter_context(named_instead(folder))
    write = write_text if task == "lm" else write_table
    files = {name: write(table, folder, name) for name, table in tables.items()}
    return {**options, **files, "keep_data": True}


def check_can_be_kept(options: TrainingOptions) -> None:
    """Check, before training, that the data can be kept, if it is to be.

    Raises:
        ValueError: for a folder.
        OSError: for a file that is missing.
    """
    for path in files_of(options).values():
        path.stat()  # raises for one that is missing
        if not path.is_file():
            raise ValueError(f"keep_data: expected files of data, got {path}, which is none")


def files_of(options: TrainingOptions) -> dict[str, Path]:
    """The files to keep, by the names of their copies; none where the options do not ask for it."""
    if not options.keep_data:
        return {}
    copies = vars(naming_copies(options))
    return {
        copy.name: path
        for name in _PARTS
        for path, copy in zip(_paths(getattr(options, name, None)), _paths(copies.get(name)), strict=True)
        if not is_builtin(path)
    }


def naming_copies(options: Options) -> Options:
    """The options with the names of the copies instead of those of the files."""

    def copy(part: str, number: int, path: Path) -> Path:
        return path if is_builtin(path) else Path(f"{part}-{number}-{path.name}")

    return _replaced(options, copy)


def reading_copies(options: Options, folder: Path) -> Options:
    """The options of a run as those of one on the copies in its folder, where it kept its data."""
    if not options.keep_data:
        return options
    return _replaced(options, lambda part, number, path: path if is_builtin(path) else folder / path)


def _replaced(options: Options, instead: Callable[[str, int, Path], Path]) -> Options:
    """The options with other files: `instead` has the name of the option, the number of the file and the file."""
    changed: dict[str, Any] = {}
    for part in _PARTS:
        value = getattr(options, part, None)
        if isinstance(value, Path):
            changed[part] = instead(part, 1, value)
        elif isinstance(value, tuple):
            changed[part] = tuple(instead(part, number, path) for number, path in enumerate(_paths(value), 1))
    return dataclasses.replace(options, **changed)


def _paths(value: Any) -> tuple[Path, ...]:
    """The files that an option names: one, several, or none where it is a share or a number."""
    return value if isinstance(value, tuple) else (value,) if isinstance(value, Path) else ()
