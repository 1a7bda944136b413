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


def package_of(name: str) -> str:
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
    return getattr(importlib.import_module(f"{package_of(name)}.options"), _OPTIONS[name][1])


def name_of(kind: type) -> str:
    """The name of the task of a class of options.

    Raises:
        TypeError: when it is that of no task.

    >>> from gatewise.tasks.tagging.options import TaggingOptions
    >>> name_of(TaggingOptions)
    'tag'
    """
    for name, (_, options) in _OPTIONS.items():
        if kind.__name__ == options and kind is options_of(name):
            return name
    kinds = ", ".join(options for _, options in _OPTIONS.values())
    raise TypeError(f"task: expected the name of a task, or its options ({kinds}), got {kind.__name__}")


def option_classes() -> dict[str, str]:
    """The module of each class of options, by the name of the class."""
    return {options: f"{home}.options" for home, options in _OPTIONS.values()}
