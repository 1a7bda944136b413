"""Opening a run folder: its options and, on the data it names, whether they are still the same."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gatewise.equations import Cell
from gatewise.equations.load import is_file_reference
from gatewise.tasks.cells import cell_of, is_cell
from gatewise.tasks.kept_data import reading_copies
from gatewise.tasks.options import build, read_toml
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.task_names import options_of
from gatewise.tasks.training_options import TrainingOptions
from gatewise.tasks.weights_file import Shape, check_shapes, load_weights, read_facts, read_shapes, vocabulary_fact


class HashedData(Protocol):
    """Data, and what it was.

    Attributes:
        source: where it comes from, for people.
        hashes: the SHA-256 of what was read, by the option that named it.
    """

    @property
    def source(self) -> str: ...
    @property
    def hashes(self) -> Mapping[str, str]: ...


Data = TypeVar("Data", bound=HashedData)
Model = TypeVar("Model", bound=nn.Module)


def read_options(folder: RunFolder, task: str) -> Any:
    """The resolved options of a run.

    Raises:
        ValueError: when this is not the run folder of such a task, or its options are corrupt.
    """
    found = folder.read_description()["task"]
    if found != task:
        raise ValueError(f"{folder.path}: the run folder of another task ({found}), expected {task}")
    values = read_toml(folder.config)
    # Training has saved the text of the cell. A run folder may be untrusted: files that it names are not executed.
    for name, value in values.items():
        if is_cell(name) and is_file_reference(str(value)):
            raise ValueError(f"{folder.config}: expected the name or the text of a cell, got a file, {value!r}")
    try:
        return reading_copies(build(options_of(task), values), folder.path)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder.config}: {error}") from None


def check_vocabulary(folder: RunFolder) -> None:
    """Raise a ValueError when the vocabulary of a run is not that which it began with, or its weights have.

    Raises:
        ValueError: for that, or weights that are corrupt or foreign.
        OSError: when a file cannot be read.
    """
    (fact,) = vocabulary_fact(folder.vocabulary.read_bytes()).items()
    if folder.weights.exists() and fact not in read_facts(folder.weights).items():
        raise ValueError(f"{folder.vocabulary}: not the vocabulary that {folder.weights} was trained with")
    began_with = folder.read_description().get(fact[0])  # earlier versions did not write it
    if began_with not in (None, fact[1]):
        raise ValueError(f"{folder.vocabulary}: not the vocabulary that the run began with")


def load_best_model(folder: RunFolder, options: TrainingOptions, make: Callable[[], Model]) -> Model:
    """The model of a run with its best weights, in evaluation mode.

    Args:
        folder: the run folder.
        options: its options.
        make: makes the model that the options describe; see `check_described`.

    Raises:
        ValueError: when the weights are corrupt, foreign or of another model.
        OSError: when they cannot be read.
    """
    check_described(folder.config, options, make, folder.weights, read_shapes(folder.weights))
    model = make()
    load_weights(folder.weights, model, _recorded_cell(folder, options))
    return model.eval()


def _recorded_cell(folder: RunFolder, options: TrainingOptions) -> dict[str, Cell]:
    """The cell of a run as it was when the run began, by the name of the cell that its options describe."""
    text = folder.read_description().get("cell")
    if not isinstance(text, str):
        return {}
    try:
        return {cell_of(options.cell).name: Cell.from_text(text)}
    except ValueError as error:
        raise ValueError(f"{folder.description}: {error}") from None


def check_described(
    config: Path, options: TrainingOptions, make: Callable[[], nn.Module], path: Path, saved: Mapping[str, Shape]
) -> None:
    """Check that what a run saved is of the model that its configuration describes, before memory is taken for one.

    Args:
        config: the configuration.
        options: what it says.
        make: makes the model that the options describe; it is called for one without memory.
        path: the file with what was saved.
        saved: the shapes of the weights in it, by name.

    Raises:
        ValueError: when it is not.
    """
    if options.layers > len(saved):
        raise ValueError(f"{config}: layers is {options.layers}, and {path} has {len(saved)} tensors")
    try:
        with torch.device("meta"), _SkipInitialisation():
            described = make()
    except (RuntimeError, TypeError, OverflowError) as error:  # sizes beyond 64 bits
        why = str(error).partition("\n")[0]
        raise ValueError(f"{config}: describes no model that could be made ({why})") from None
    check_shapes(path, saved, described)


class _SkipInitialisation(TorchFunctionMode):
    """Initialises nothing at random: for that torch would load its compiler where tensors have no memory."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _DRAWING or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **kwargs or {})


_DRAWING = (torch.Tensor.normal_, torch.Tensor.uniform_)


def check_weights_exist(folder: RunFolder) -> None:
    """Raise a ValueError where training has not left weights yet."""
    if not folder.weights.exists():
        raise ValueError(f"{folder.path}: no weights yet: the run ended before its first held-out score; --resume it")


def check_unchanged(folder: RunFolder, data: Data) -> Data:
    """The data of a run, read again, if it is what it was.

    Raises:
        ValueError: when it is not the same.
    """
    recorded = folder.hashes()
    for name, value in data.hashes.items():
        was = recorded.get(name, "unknown")
        if was != value:
            raise ValueError(
                f"{folder.path}: the data has changed since the run began ({name}: {data.source}; sha256 was "
                f"{was[:12]}…, is {value[:12]}…); bring the old data back, or name one with --data"
            )
    return data
