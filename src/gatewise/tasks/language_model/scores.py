"""How well a language model predicts a text: every token but the first scored once, in one stream."""

import math
import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from gatewise.data.vocabulary import Unit, Vocabulary
from gatewise.models.language_model import LanguageModel, State
from gatewise.tasks.measure import Measure

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


def measure_for(unit: Unit, tokens: int, characters: int) -> Measure:
    """How a unit is reported: words as perplexity, characters and byte pairs as bits per character."""
    if unit == "word":
        return Measure("perplexity", "words")
    return Measure("bits_per_character", "characters", characters / tokens)


def log_probabilities(model: LanguageModel, tokens: Tensor) -> Iterator[Tensor]:
    """The logarithms of the distributions of tokens 1, 2, … of a text, (T, V) for a window of T at a time.

    The text is read as one stream from a zero state, so the numbers depend on nothing but the text and the weights.

    Args:
        model: the model, in evaluation mode.
        tokens: the text, (N,) int64.
    """
    state: State | None = None
    parts = tokens[:-1].split(_WINDOW)
    for part in tqdm(parts, desc="scoring", unit="window", leave=False, disable=not sys.stderr.isatty()):
        with torch.no_grad():
            logits, state = model(part[:, None], state)
            log_p = logits[:, 0].log_softmax(-1)
        yield log_p


def score_text(model: LanguageModel, vocabulary: Vocabulary, text: str) -> dict[str, float]:
    """The scores of a model on a text.

    Returns:
        ``tokens``, the number of tokens scored; ``unknown_tokens``, how many of them the vocabulary does not have;
        ``loss`` in nats per token; ``bits_per_character`` (per Unicode character; units char and bpe); ``perplexity``
        per token (units word and bpe).

    Raises:
        ValueError: when the text has fewer than two tokens.
    """
    tokens = encode(vocabulary, text)
    targets = iter(tokens[1:].split(_WINDOW))
    nats = -math.fsum(
        log_p.gather(1, target[:, None]).sum(dtype=torch.float64).item()
        for log_p, target in zip(log_probabilities(model, tokens), targets, strict=True)
    )
    scored = len(tokens) - 1
    scores: dict[str, float] = {
        "tokens": scored,
        "unknown_tokens": 0 if vocabulary.unknown is None else int((tokens[1:] == vocabulary.unknown).sum()),
        "loss": nats / scored,
    }
    if vocabulary.unit != "word":
        characters = len(text) - len(vocabulary.name(int(tokens[0])))
        scores["bits_per_character"] = nats / math.log(2) / characters
    if vocabulary.unit != "char":
        scores["perplexity"] = Measure("perplexity", "tokens").of(nats / scored)
    return scores


def score_tokens(model: LanguageModel, vocabulary: Vocabulary, text: str, top: int) -> Iterator[TokenScore]:
    """What the model thought of every token of a text but the first, with the `top` most likely tokens at its place.

    Raises:
        ValueError: when the text has fewer than two tokens.
    """
    tokens = encode(vocabulary, text)
    position = 0
    for log_p in log_probabilities(model, tokens):
        best, candidates = log_p.topk(min(top, vocabulary.size))
        for row, values, numbers in zip(log_p, best.exp().tolist(), candidates.tolist(), strict=True):
            position += 1
            token = int(tokens[position])
            likely = [(vocabulary.name(number), value) for number, value in zip(numbers, values, strict=True)]
            yield TokenScore(position, vocabulary.name(token), float(row[token]), likely)


def encode(vocabulary: Vocabulary, text: str) -> Tensor:
    """The tokens of a text that is to be read.

    Raises:
        ValueError: when there are fewer than two.
    """
    tokens = vocabulary.encode(text)
    if len(tokens) < 2:
        raise ValueError(f"the text has {len(tokens)} tokens (unit {vocabulary.unit}); at least 2 are needed")
    return tokens
