"""The network of a classification run, and what comes of a batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.row_tensors import values_at
from gatewise.models.classifier import Classifier
from gatewise.progress import Progress
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.rows import Reader, Row, steps_of
from gatewise.tasks.token_reader import TokenReader
from gatewise.tasks.unknown_labels import known_cross_entropy

PART = 1024
"""Rows that are read, sorted by length and scored at a time."""


def make_model(options: ClassificationOptions, reader: TokenReader, size: int) -> Classifier:
    """The model that the options describe, with its initial weights."""
    steps = reader.embedding(options)
    return initialised(Classifier(steps, make_encoder(options, steps.width), options.pooling, size), options)


def make_batches(
    reader: Reader, texts: Sequence[Row], targets: Sequence[Any] | NDArray[Any], size: int, seed: int | None = None
) -> RaggedBatches:
    """Texts and their targets, numbers or rows of them, in batches."""

    def make(places: list[int]) -> Batch:
        inputs, lengths = reader.batch([texts[place] for place in places])
        return Batch(inputs, lengths, values_at(targets, places))

    return RaggedBatches(steps_of(texts), make, size, seed=seed)


def outcome_of(model: Classifier, weights: Tensor | None) -> Callable[[Batch], BatchStatistics]:
    """What comes of a batch: the cross entropy, in which classes may have weights (K,), and the right labels.

    Targets of K and more are labels that are unknown in training: never right, and without a loss.
    """

    def outcome(batch: Batch) -> BatchStatistics:
        logits = model(batch.inputs, batch.lengths)
        weight = None if weights is None else weights.to(logits)
        nats, total = known_cross_entropy(logits, batch.targets, weight)
        return BatchStatistics(nats, total, int((logits.argmax(1) == batch.targets).sum()), len(batch.targets))

    return outcome


def balanced(targets: Sequence[int] | NDArray[np.int64], class_count: int) -> Tensor:
    """Weights (K,) of classes in inverse proportion to how often they occur, 1 on average over the examples.

    >>> balanced([0, 0, 0, 1], 2)
    tensor([0.6667, 2.0000])
    """
    counts = torch.from_numpy(np.bincount(targets, minlength=class_count)).clamp(min=1)
    return len(targets) / class_count / counts


def logits_of(model: Classifier, reader: Reader, rows: Sequence[Row], size: int) -> Tensor:
    """The scores (N, K) of rows before the softmax, so many rows at a time."""
    parts = [logits for _, logits in logits_in_parts(model, reader, rows, size)]
    return torch.cat([torch.empty(0, model.read_out.out_features), *parts])


def logits_in_parts(
    model: Classifier, reader: Reader, rows: Sequence[Row], size: int
) -> Iterator[tuple[slice, Tensor]]:
    """The same for some rows at a time, in their order: which rows, and their scores."""
    with Progress("labelling", "texts", len(rows)) as progress:
        for at in range(0, len(rows), PART):
            some = rows[at : at + PART]
            found = torch.empty(len(some), model.read_out.out_features)
            for batch in make_batches(reader, some, range(len(some)), size):
                with torch.no_grad():
                    found[batch.targets] = model(batch.inputs, batch.lengths).float().cpu()
                progress.advance(len(batch.targets), len(batch.targets))
            yield slice(at, at + len(some)), found
