"""How well a language model predicts a text: every token but the first scored once, in one stream."""

import math
from collections.abc import Iterator, Sized
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatewise.data.encoded_text import EncodedText, Ids
from gatewise.data.streams import Streams
from gatewise.data.texts import Text
from gatewise.data.vocabulary import TextVocabulary, Vocabulary
from gatewise.models.language_model import LanguageModel, State
from gatewise.progress import tracked
from gatewise.tasks.measure import Measure
from gatewise.tasks.unknown_characters import UnknownCharacters

_WINDOW = 512


class TokenScore(NamedTuple):
    """What a model thought of one token of a text.

    Attributes:
        position: the number of the token in the text, the first being 0 (which nothing predicts).
        token: the token.
        log_probability: the natural logarithm of its probability after all tokens before it.
        top: the most likely tokens at this place, with their probabilities.
    """

    position: int
    token: str
    log_probability: float
    top: list[tuple[str, float]]


def measure_for(vocabulary: Vocabulary, text: EncodedText) -> Measure:
    """How a unit is reported: words as perplexity, characters and byte pairs as bits per character.

    Args:
        vocabulary: the tokens.
        text: a text to be scored.
    """
    if vocabulary.unit == "word":
        return Measure("perplexity", "words", "nats/word")
    loss_unit = "nats/character" if vocabulary.unit == "char" else "nats/token"
    per_token = _scored_characters(vocabulary, text) / (len(text) - 1)
    return Measure("bits_per_character", "characters", loss_unit, per_token)


def _scored_characters(vocabulary: Vocabulary, text: EncodedText) -> int:
    """How many characters of a text are scored: all but those of its first token, which nothing predicts."""
    return text.characters - len(vocabulary.name(int(text.ids[:1][0])))


def scoring_stream(tokens: Ids) -> Streams:
    """A text to be scored, (N,), as one stream, so that scores depend on nothing but the text and the weights."""
    return Streams(tokens, streams=1, window=_WINDOW)


def log_probabilities(model: LanguageModel, tokens: Ids) -> Iterator[tuple[Tensor, Tensor]]:
    """The logarithms of the distributions of tokens 1, 2, … of a text, (T, V), and these tokens (T,), by windows of T.

    The text is read as one stream from a zero state.

    Args:
        model: the model, in evaluation mode.
        tokens: the text, (N,).
    """
    state: State | None = None
    windows = scoring_stream(tokens)
    for window in tracked(windows, "scoring", "tokens", size=lambda window: len(window.targets)):
        with torch.no_grad():
            logits, state = model(window.inputs, state)
            log_p = logits[:, 0].log_softmax(-1)
        yield log_p, window.targets[:, 0]


def score_text(model: LanguageModel, vocabulary: Vocabulary, text: EncodedText) -> dict[str, float]:
    """The scores of a model on a text.

    Returns:
        ``tokens``, the number of tokens scored; ``unknown_tokens``, how many of them the vocabulary does not have;
        ``loss`` in nats per token; ``bits_per_character`` (per Unicode character; units char and bpe); ``perplexity``
        per token (units word and bpe).

    Raises:
        ValueError: when the text has fewer than two tokens.
    """
    check_length(text, vocabulary)
    unknown = 0

    def totals() -> Iterator[float]:
        nonlocal unknown
        for log_p, targets in log_probabilities(model, text.ids):
            unknown += 0 if vocabulary.unknown is None else int((targets == vocabulary.unknown).sum())
            yield log_p.gather(1, targets[:, None]).sum(dtype=torch.float64).item()

    nats, scored = -math.fsum(totals()), len(text) - 1
    scores: dict[str, float] = {"tokens": scored, "unknown_tokens": unknown, "loss": nats / scored}
    if vocabulary.unit != "word":
        scores["bits_per_character"] = nats / math.log(2) / _scored_characters(vocabulary, text)
    if vocabulary.unit != "char":
        scores["perplexity"] = Measure("perplexity", "tokens").of(nats / scored)
    return scores


def score_tokens(
    model: LanguageModel, vocabulary: TextVocabulary, text: Text, encoded: EncodedText, top: int
) -> Iterator[TokenScore]:
    """What the model thought of every token of a text but the first, with the `top` most likely tokens at its place.

    Args:
        model: the model.
        vocabulary: the tokens.
        text: the text.
        encoded: its tokens.
        top: see above.

    Raises:
        ValueError: when the text has fewer than two tokens.
    """
    check_length(encoded, vocabulary)
    unknown = UnknownCharacters(vocabulary)
    if vocabulary.unit == "char":
        start = 0
        for chunk in text.chunks():
            ids = np.asarray(encoded.ids[start : start + len(chunk)])
            unknown.add(torch.from_numpy(ids.astype(np.int64)), chunk)
            start += len(chunk)
    unknown.report()
    position = 0
    for log_p, targets in log_probabilities(model, encoded.ids):
        best, candidates = log_p.topk(min(top, vocabulary.size))
        parts = log_p, targets.tolist(), best.exp().tolist(), candidates.tolist()
        for row, token, values, numbers in zip(*parts, strict=True):
            position += 1
            likely = [(vocabulary.name(number), value) for number, value in zip(numbers, values, strict=True)]
            yield TokenScore(position, vocabulary.name(token), float(row[token]), likely)


def check_length(tokens: Sized, vocabulary: Vocabulary) -> None:
    """Check that a text can be scored.

    Raises:
        ValueError: when it has fewer than two tokens.
    """
    if len(tokens) < 2:
        raise ValueError(f"the text has {len(tokens)} tokens (unit {vocabulary.unit}); at least 2 are needed")
