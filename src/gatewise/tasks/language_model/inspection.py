"""A trained language model watched while it reads a text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatewise.data.text import check_characters
from gatewise.data.vocabulary import TextVocabulary
from gatewise.diagnostics import Trace
from gatewise.models.language_model import LanguageModel
from gatewise.tasks.inspected import Inspected
from gatewise.tasks.inspection import Report, watched
from gatewise.tasks.language_model.scores import check_length
from gatewise.tasks.unknown_characters import UnknownCharacters


@dataclass(frozen=True)
class TextInspection(Inspected):
    """A text that a language model read while it was watched.

    Attributes:
        tokens: the T tokens that were read.
        trace: what was recorded: ``.diagnose()`` has the findings.
    """

    tokens: list[str]
    trace: Trace

    def rows(self) -> list[dict[str, Any]]:
        """Nothing: every token is an answer, of which `TrainedLanguageModel.score` has the probabilities."""
        return []

    def __str__(self) -> str:
        return ""


def inspect_text(
    model: LanguageModel, vocabulary: TextVocabulary, text: str | Iterable[str], steps: int, report: Report
) -> TextInspection:
    """Watch one forward and backward pass over the beginning of a text, and write the report.

    The loss is the mean over all predicted tokens, read as one stream from a zero state. The gradients of the model's
    parameters are left as they were.

    Args:
        model: the model, in evaluation mode.
        vocabulary: its tokens.
        text: the text, whole or in parts, of which no more is read than needed.
        steps: how many tokens to predict at most; there is one less than the text has tokens.
        report: what to write.

    Returns:
        what was read and recorded, with every step's states and gradients.

    Raises:
        ValueError: when the text has fewer than two tokens.
        OSError: when the report cannot be written.
    """
    tokens = _beginning(vocabulary, [check_characters(text)] if isinstance(text, str) else text, steps + 1)
    check_length(tokens, vocabulary)
    unknown = UnknownCharacters(vocabulary)
    unknown.add(tokens, text if isinstance(text, str) else "")
    unknown.report()
    trace = watched(model, model, lambda: functional.cross_entropy(model(tokens[:-1, None])[0][:, 0], tokens[1:]))
    names = [vocabulary.name(int(token)) for token in tokens[:-1]]
    report.write(trace, tokens=names)
    return TextInspection(names, trace)


def _beginning(vocabulary: TextVocabulary, chunks: Iterable[str], count: int) -> Tensor:
    """The first tokens of a text, (N,) int64."""
    found = [np.zeros(0, np.int64)]
    for part in vocabulary.encode_chunks(chunks):
        found.append(part.astype(np.int64))
        if sum(map(len, found)) >= count:
            break
    return torch.from_numpy(np.concatenate(found)[:count])
