"""Opening a run folder: its options and, on the data it names, whether they are still the same."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from torch import nn

from gatewise.equations.in_file import names_file
from gatewise.tasks.cells import is_cell
from gatewise.tasks.options import build, read_toml
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.task_names import options_of
from gatewise.tasks.weights_file import load_weights, read_facts, vocabulary_fact


class Sourced(Protocol):
    """Data, and what it was.

    Attributes:
        source: where it comes from, for people.
        hashes: the SHA-256 of what was read, by the option that named it.
    """

    @property
    def source(self) -> str: ...
    @property
    def hashes(self) -> Mapping[str, str]: ...


Data = TypeVar("Data", bound=Sourced)


def read_options(folder: RunFolder, task: str) -> Any:
    """The resolved options of a run.

    Raises:
        ValueError: when this is not the run folder of such a task, or its options are corrupt.
    """
    found = folder.read_description()["task"]
    if found != task:
        raise ValueError(f"{folder.path}: the run folder of another task ({found}), expected {task}")
    values = read_toml(folder.config)
    # Training has put the cell's text there. A run folder may be somebody else's: what it names is not run.
    for name, value in values.items():
        if is_cell(name) and names_file(str(value)):
            raise ValueError(f"{folder.config}: expected the name or the text of a cell, got a file, {value!r}")
    return build(options_of(task), values)


def load_best_weights(folder: RunFolder, vocabulary: str, model: nn.Module) -> None:
    """Read a run's best weights into a model, which then is in evaluation mode.

    Args:
        folder: the run folder.
        vocabulary: the vocabulary that was read from the folder, as JSON again.
        model: the model that the options describe.

    Raises:
        ValueError: when there are no weights yet, or they are corrupt, foreign or of another vocabulary.
        OSError: when they cannot be read.
    """
    if not vocabulary_fact(vocabulary).items() <= read_facts(folder.weights).items():
        raise ValueError(f"{folder.vocabulary}: not the vocabulary that {folder.weights} was trained with")
    load_weights(folder.weights, model)
    model.eval()


def check_weights_exist(folder: RunFolder) -> None:
    """Raise a ValueError where training has not left weights yet."""
    if not folder.weights.exists():
        raise ValueError(f"{folder.path}: no weights yet: the run ended before its first held-out score; --resume it")


def same_data(folder: RunFolder, data: Data) -> Data:
    """The data of a run, read again, if it is what it was.

    Raises:
        ValueError: when it is not the same.
    """
    recorded = folder.read_description()["sha256"]
    for name, value in data.hashes.items():
        if recorded[name] != value:
            raise ValueError(
                f"{folder.path}: the data has changed since the run began ({name}: {data.source}; sha256 was "
                f"{recorded[name][:12]}…, is {value[:12]}…); bring the old data back, or name one with --data"
            )
    return data
