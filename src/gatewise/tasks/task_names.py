"""The tasks by name. Standard library alone: looking one up loads its options, not its network."""

import importlib
from typing import Any

_OPTIONS = {
    "lm": ("gatewise.tasks.language_model", "LanguageModelOptions"),
    "classify": ("gatewise.tasks.classification", "ClassificationOptions"),
    "tag": ("gatewise.tasks.tagging", "TaggingOptions"),
    "seq2seq": ("gatewise.tasks.sequence_to_sequence", "SequenceToSequenceOptions"),
    "numeric": ("gatewise.tasks.numeric", "NumericOptions"),
    "forecast": ("gatewise.tasks.forecasting", "ForecastOptions"),
}


def names() -> tuple[str, ...]:
    """The names of all tasks."""
    return tuple(_OPTIONS)


def home_of(name: str) -> str:
    """The package of a task.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in _OPTIONS:
        raise ValueError(f"unknown task {name!r}; the tasks are: {', '.join(_OPTIONS)}")
    return _OPTIONS[name][0]


def options_of(name: str) -> Any:
    """The class of a task's options.

    Raises:
        ValueError: for an unknown name.
    """
    return getattr(importlib.import_module(f"{home_of(name)}.options"), _OPTIONS[name][1])
