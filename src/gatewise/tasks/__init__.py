"""Tasks: data, model, loss and metrics; the functions behind the commands train, evaluate, predict and inspect."""

import importlib
from typing import TYPE_CHECKING

from gatewise.tasks.api import evaluate, inspect, load, predict, train
from gatewise.tasks.task_names import option_classes

if TYPE_CHECKING:
    from gatewise.tasks.classification.options import ClassificationOptions
    from gatewise.tasks.forecasting.options import ForecastOptions
    from gatewise.tasks.language_model.options import LanguageModelOptions
    from gatewise.tasks.numeric.options import NumericOptions
    from gatewise.tasks.sequence_to_sequence.options import SequenceToSequenceOptions
    from gatewise.tasks.tagging.options import TaggingOptions

__all__ = [
    "ClassificationOptions",
    "ForecastOptions",
    "LanguageModelOptions",
    "NumericOptions",
    "SequenceToSequenceOptions",
    "TaggingOptions",
    "evaluate",
    "inspect",
    "load",
    "predict",
    "train",
]


def __getattr__(name: str) -> object:
    home = option_classes().get(name)
    if home is None:
        raise AttributeError(f"module 'gatewise.tasks' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
