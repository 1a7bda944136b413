"""What a task is to the rest: a name, its options, the job of training and the trained model."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from gatewise.data.text import read_text
from gatewise.tasks.fitting import Batches
from gatewise.tasks.module import TaskModule
from gatewise.tasks.opening import check_vocabulary, check_weights_exist, load_best_model, read_options
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.task_names import home_of
from gatewise.tasks.training_options import TrainingOptions

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Job:
    """Everything that training needs, made and checked before anything is written.

    Attributes:
        options: the resolved options.
        module: the model in training.
        training: the batches of an epoch.
        held_out: the batches of the data that decides which weights are kept.
        vocabulary: what turns data into numbers, as JSON.
        source: where the data comes from, for people.
        hashes: the SHA-256 of what was read, by the option that named it.
        facts: lines about data and vocabulary, for people.
        kept: files to keep in the run folder, by name.
    """

    options: TrainingOptions
    module: TaskModule
    training: Batches
    held_out: Batches
    vocabulary: str
    source: str
    hashes: Mapping[str, str]
    facts: tuple[str, ...]
    kept: Mapping[str, bytes] = field(default_factory=dict)


class Prepare(Protocol):
    """Makes the job of training from options."""

    def __call__(self, options: Any, folder: RunFolder | None, /) -> Job:
        """The job.

        Args:
            options: the resolved options.
            folder: the run folder to go on with, if any; its vocabulary is taken then.

        Raises:
            ValueError: for bad data, or too little.
            OSError: when a file cannot be read.
        """
        ...


class Trained(ABC):
    """The trained model of a run folder, with its best weights, on the processor.

    Attributes:
        name: of the task.
        reads_columns: whether files may have a word per line and columns.
        searches: whether answers are searched for, with a beam and a length penalty that can be chosen.
        folder: the run folder.
        options: the resolved options of the run.
        model: the model, in evaluation mode.

    Args:
        folder: the run folder.

    Raises:
        ValueError: when the folder is missing or of another task, or a file in it is corrupt or foreign.
        OSError: when a file cannot be read.
    """

    name: ClassVar[str]
    reads_columns: ClassVar[bool] = False
    searches: ClassVar[bool] = False
    options: Any
    model: Any

    def __init__(self, folder: str | Path) -> None:
        self.folder = RunFolder(Path(folder))
        self.options = read_options(self.folder, self.name)
        check_weights_exist(self.folder)
        check_vocabulary(self.folder)
        self._read_vocabulary()
        self.model = load_best_model(self.folder, self.options, self._make_model)

    @abstractmethod
    def _read_vocabulary(self) -> None:
        """Read what turns data into numbers."""

    @abstractmethod
    def _make_model(self) -> Any:
        """Make the model that the options and the vocabulary describe."""

    @abstractmethod
    def evaluate(self, data: str | Path | Iterable[str | Path] | None = None) -> Scores:
        """The scores on data files, or on what the run held out."""

    def text_of(self, paths: Sequence[Path]) -> str | list[str]:
        """What `inspect` of a model of texts reads of files.

        Raises:
            ValueError: when a file is empty or not UTF-8.
            OSError: when a file cannot be read.
        """
        return read_text(paths)

    def finish(self) -> Scores:
        """The scores once training has ended, as of `evaluate`; whatever else belongs in the folder is left there."""
        return self.evaluate()

    def final_scores(self) -> Scores:
        """The scores that were written when training ended, as `evaluate` gave them.

        Raises:
            ValueError: when they are corrupt.
            OSError: when training has not ended yet.
        """
        return self.folder.read_scores()["scores"]


@dataclass(frozen=True)
class Task:
    """A task, put together from its parts.

    Attributes:
        prepare: makes the job.
        load: opens a run folder.
    """

    prepare: Prepare
    load: type[Trained]

    @property
    def name(self) -> str:
        """The word after ``gatewise train``."""
        return self.load.name


def task_of(name: str) -> Task:
    """The task of a name.

    Raises:
        ValueError: when there is none.
    """
    return importlib.import_module(f"{home_of(name)}.training").TASK
