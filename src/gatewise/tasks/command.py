"""What the command line says of a task. Standard library alone: ``--help`` loads no network."""

import importlib
from typing import NamedTuple

from gatewise.tasks.task_names import package_of


class Command(NamedTuple):
    """The help of ``gatewise train TASK``.

    Attributes:
        help: what the task does, in a line.
        predictions: arguments of ``gatewise predict FOLDER`` to try once a model is trained.
        data: the arguments that name the data, where the task has no data of its own.
    """

    help: str
    predictions: tuple[str, ...]
    data: str = ""


def command_of(name: str) -> Command:
    """The command of a task.

    Raises:
        ValueError: for an unknown name.
    """
    return importlib.import_module(f"{package_of(name)}.options").COMMAND
