"""What a task is to the rest: a name, its options, the job of training and the trained model."""

import importlib
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Any, Protocol

from gatewise.data.batches import SharedBatches
from gatewise.tasks.module import TaskModule
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.task_names import package_of
from gatewise.tasks.time_limit import Trial
from gatewise.tasks.trained import Trained
from gatewise.tasks.training_options import TrainingOptions


def cost_of(parts: Mapping[str, Sized]) -> float:
    """How many times as much all parts of the data are as the first, which decides which weights are kept."""
    sizes = [len(part) for part in parts.values()]
    return sum(sizes) / max(sizes[0], 1)


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
        scored: the data to score at the end.
        final_cost: how long that takes, in scorings of the held-out data, without searching.
        search: a trial of searching for answers.
    """

    options: TrainingOptions
    module: TaskModule
    training: SharedBatches
    held_out: SharedBatches
    vocabulary: str
    source: str
    hashes: Mapping[str, str]
    facts: tuple[str, ...]
    scored: Any
    final_cost: float
    search: Trial | None = None


class Prepare(Protocol):
    """Makes the job of training from options."""

    def __call__(self, options: Any, folder: RunFolder | None, /) -> Job:
        """The job.

        Args:
            options: the resolved options.
            folder: the run folder to resume, if any; its vocabulary is taken then.

        Raises:
            ValueError: for bad data, or too little.
            OSError: when a file cannot be read.
        """
        ...


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
    return importlib.import_module(f"{package_of(name)}.training").TASK
