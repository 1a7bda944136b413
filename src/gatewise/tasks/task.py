"""What a task is to the rest: a name, its options, the job of training and the trained model."""

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from gatewise.tasks.fitting import Batches
from gatewise.tasks.module import TaskModule
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


class Trained(ABC):
    """The trained model of a run folder, with its best weights, on the processor.

    Attributes:
        folder: the run folder.
        searches: whether answers are searched for, with a beam and a length penalty that can be chosen.
    """

    folder: RunFolder
    searches: ClassVar[bool] = False

    @abstractmethod
    def evaluate(self, data: str | Path | Iterable[str | Path] | None = None) -> Scores:
        """The scores on data files, or on what the run held out."""

    def finish(self) -> None:
        """Leave in the run folder whatever belongs there once training has ended, besides the scores."""
        return

    def final_scores(self) -> Scores:
        """The scores that were written when training ended, as `evaluate` gave them.

        Raises:
            OSError: when training has not ended yet.
        """
        return json.loads(self.folder.scores.read_bytes())["scores"]


@dataclass(frozen=True)
class Task:
    """A task, put together from its parts.

    Attributes:
        name: the word after ``gatewise train``.
        prepare: makes the job from options, with the vocabulary of the run folder if one is gone on with.
        load: opens a run folder.
    """

    name: str
    prepare: Callable[[Any, RunFolder | None], Job]
    load: Callable[[str | Path], Trained]


def task_of(name: str) -> Task:
    """The task of a name.

    Raises:
        ValueError: when there is none.
    """
    return importlib.import_module(f"{home_of(name)}.training").TASK
