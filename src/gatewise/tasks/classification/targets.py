"""The targets of texts by name, learned from data or read from a run folder."""

from collections.abc import Collection, Mapping
from typing import Any

from gatewise.tasks.classification.label_set import LabelSetTarget
from gatewise.tasks.classification.number import NumberTarget
from gatewise.tasks.classification.one_label import OneLabel
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.classification.target import Target


def learn_target(options: ClassificationOptions, written: Collection[str]) -> Target:
    """The target that the options name, of the training data."""
    if options.target == "number":
        return NumberTarget.learn(written)
    if options.target == "labels":
        return LabelSetTarget.learn(options.label_separator, written)
    return OneLabel.learn(options.class_weights, written)


def target_of_parts(options: ClassificationOptions, parts: Mapping[str, Any]) -> Target:
    """The target of a run folder."""
    if options.target == "number":
        return NumberTarget.from_parts(parts)
    if options.target == "labels":
        return LabelSetTarget.from_parts(options.label_separator, parts)
    return OneLabel.from_parts(options.class_weights, parts)
