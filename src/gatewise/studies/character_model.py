"""Training and scoring a small character model of Python's own manual, which every machine has."""

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gatewise.data.characters import CharacterVocabulary
from gatewise.data.manual import manual_text
from gatewise.layers import TBPTT, Clip
from gatewise.models.language_model import LanguageModel

_HELD_OUT = 0.1


class Corpus(NamedTuple):
    """The manual as characters.

    Attributes:
        training, held_out: (N,) int64 each; the last tenth is held out.
        size: characters of the vocabulary V.
    """

    training: Tensor
    held_out: Tensor
    size: int


@cache
def corpus() -> Corpus:
    """The manual of the running Python."""
    text = manual_text()
    cut = int(len(text) * (1 - _HELD_OUT))
    vocabulary = CharacterVocabulary.learn(text[:cut])
    return Corpus(vocabulary.encode(text[:cut]), vocabulary.encode(text[cut:]), vocabulary.size)


def learn_characters(
    model: LanguageModel, *, seed: int, rate: float, updates: int, window: int, batch: int = 16
) -> list[tuple[int, float]]:
    """Train by truncated back-propagation through time on consecutive windows of B streams, with Adam.

    Args:
        model: the model.
        seed: of the places where the streams begin.
        rate: the learning rate.
        updates: the number of windows.
        window: their steps.
        batch: the streams B.

    Returns:
        pairs of updates and mean training loss since the pair before, in bits per character.
    """
    text = corpus().training
    starts = torch.randint(len(text), (batch,), generator=torch.Generator().manual_seed(seed))
    steps = torch.arange(updates * window + 1)
    streams = text[(starts[None] + steps[:, None]) % len(text)]
    optimiser = torch.optim.Adam(model.parameters(), rate)
    clip, losses = Clip(norm=1.0), list[float]()
    for part in TBPTT(window, window).windows(streams[:-1], streams[1:]):
        scores = part.run(model)
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), part.target.flatten())
        optimiser.zero_grad()
        loss.backward()
        clip(model)
        optimiser.step()
        losses.append(float(loss.detach()) / math.log(2))
    size = max(1, len(losses) // 20)
    parts = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [((index + 1) * size, round(sum(part) / len(part), 4)) for index, part in enumerate(parts)]


@torch.no_grad()
def bits_per_character(model: LanguageModel, *, streams: int = 32, steps: int = 500, warm_up: int = 100) -> float:
    """The mean loss on the held-out text, in parallel streams whose first steps are not scored."""
    text = corpus().held_out
    starts = torch.linspace(0, len(text) - steps - 2, streams).long()
    rows = text[starts[None] + torch.arange(steps + 1)[:, None]]
    scores, _ = model(rows[:-1])
    loss = nn.functional.cross_entropy(scores[warm_up:].flatten(0, 1), rows[1 + warm_up :].flatten())
    return float(loss) / math.log(2)


@torch.no_grad()
def bits_without(
    model: LanguageModel, beyond: int, how: str, *, seed: int, rows: int = 1500, context: int = 200
) -> float:
    """The loss of a character whose context is intact only for the last characters, in bits.

    Args:
        model: the model.
        beyond: the nearest characters that are left as they are.
        how: "order": those before are shuffled; "content": they are replaced by text from elsewhere.
        seed: of the places and of the shuffling.
        rows: characters that are predicted.
        context: characters before each.
    """
    text, generator = corpus().held_out, torch.Generator().manual_seed(seed)

    def cut(starts: Tensor, length: int) -> Tensor:
        return text[starts[None] + torch.arange(length)[:, None]]

    read = cut(torch.randint(len(text) - context - 1, (rows,), generator=generator), context + 1)
    far = context - beyond
    if how == "order":
        order = torch.rand(far, rows, generator=generator).argsort(0)
        destroyed = read[:far].gather(0, order)
    else:
        destroyed = cut(torch.randint(len(text) - context, (rows,), generator=generator), far)
    scores, _ = model(torch.cat([destroyed, read[far:-1]]))
    return float(nn.functional.cross_entropy(scores[-1], read[-1])) / math.log(2)
