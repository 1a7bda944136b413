"""The heads by name, learned from data or read from a run folder."""

from collections.abc import Sequence
from typing import Any

from gatewise.data.sequence_store import NumericSequence
from gatewise.tasks.numeric.head import Head
from gatewise.tasks.numeric.next_head import NextHead
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.numeric.sequence_head import SequenceHead
from gatewise.tasks.numeric.step_head import StepHead

_HEADS: dict[str, type[SequenceHead | StepHead | NextHead]] = {
    "sequence": SequenceHead,
    "number": SequenceHead,
    "steps": StepHead,
    "next": NextHead,
}


def learn_head(options: NumericOptions, examples: Sequence[NumericSequence]) -> Head:
    """The head that the options name, with what it takes from the training data."""
    return _HEADS[options.predict].learn(options, FeatureReader.learn(options, examples), examples)


def head_of_parts(options: NumericOptions, parts: dict[str, Any]) -> Head:
    """The head of a run folder."""
    return _HEADS[options.predict].from_parts(options, FeatureReader.from_parts(options, parts), parts)
