"""The goals by name, learned from data or read from a run folder."""

from collections.abc import Sequence
from typing import Any

import torch

from gatewise.data.numeric_sequences import NumericSequence, Scaling
from gatewise.tasks.numeric.next_step import NextSteps
from gatewise.tasks.numeric.objective import Goal
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.numeric.sequence_label import SequenceLabel
from gatewise.tasks.numeric.sequence_number import SequenceNumber
from gatewise.tasks.numeric.step_labels import StepLabels

_GOALS: dict[str, type[SequenceLabel | SequenceNumber | StepLabels | NextSteps]] = {
    "sequence": SequenceLabel,
    "number": SequenceNumber,
    "steps": StepLabels,
    "next": NextSteps,
}


def learn_goal(options: NumericOptions, examples: Sequence[NumericSequence]) -> Goal:
    """The goal that the options name, with what it takes from the training data."""
    sequences = [steps for steps, _ in examples]
    as_they_are = not options.scale or (options.predict == "next" and options.values == "binary")
    scaling = Scaling.none(len(sequences[0][0])) if as_they_are else Scaling.learn(sequences)
    return _GOALS[options.predict].learn(options, _reader(options, scaling), examples)


def goal_of_parts(options: NumericOptions, parts: dict[str, Any]) -> Goal:
    """The goal of a run folder."""
    return _GOALS[options.predict].from_parts(options, _reader(options, parts["scaling"]), parts)


def _reader(options: NumericOptions, scaling: Scaling) -> FeatureReader:
    return FeatureReader(scaling, torch.float64 if options.precision == "64" else torch.float32)


def parts_of(goal: Goal) -> dict[str, Any]:
    """What `goal_of_parts` needs."""
    return {"scaling": goal.reader.scaling, **goal.parts}
