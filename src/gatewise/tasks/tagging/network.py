"""The network of a tagging run, and what comes of a batch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.data.batches import Batch, RaggedBatches, padded
from gatewise.data.entities import count_entities
from gatewise.data.streams import NO_TARGET
from gatewise.models.conditional_random_field import ConditionalRandomField
from gatewise.models.tagger import Tagger
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.outcome import Outcome
from gatewise.tasks.rows import Reader, Row
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.token_reader import TokenReader


def make_model(options: TaggingOptions, reader: TokenReader, tags: TagSet) -> Tagger:
    """The model that the options describe, with its initial weights."""
    steps = reader.embedding(options)
    field = ConditionalRandomField(tags.allowed) if options.output == "crf" else None
    return initialised(Tagger(steps, make_encoder(options, steps.width), tags.labels.size, field), options)


def make_batches(
    reader: Reader, rows: Sequence[Row], targets: Sequence[Tensor], size: int, seed: int | None = None
) -> RaggedBatches:
    """Sentences and the numbers of their tags in batches."""

    def make(places: list[int]) -> Batch:
        inputs, lengths = reader.batch([rows[place] for place in places])
        return Batch(inputs, lengths, padded([targets[place] for place in places], NO_TARGET))

    return RaggedBatches([len(row.numbers) for row in rows], make, size, seed=seed)


def nats_of(model: Tagger, scores: Tensor, batch: Batch, weights: Tensor | None = None) -> Tensor:
    """The sum of the loss over all sentences: cross entropy, or minus the log-likelihood of whole sentences.

    Args:
        model: the model.
        scores: what it made of the batch.
        batch: the sentences.
        weights: (K,), of tags in the cross entropy.
    """
    if model.transitions is None:
        flat = batch.targets.flatten()
        return functional.cross_entropy(
            scores.flatten(0, 1), flat, weight=weights, ignore_index=NO_TARGET, reduction="sum"
        )
    return -model.transitions.log_likelihood(scores, batch.targets.clamp(min=0), batch.lengths).sum()


def outcome_of(model: Tagger, tags: TagSet, weights: Tensor | None = None) -> Callable[[Batch], Outcome]:
    """What comes of a batch: the loss, in which tags may have weights (K,), and right tags or, where tags are of
    entities, F1 as a ratio."""

    def outcome(batch: Batch) -> Outcome:
        scores = model(batch.inputs, batch.lengths)
        weight = None if weights is None else weights.to(scores)
        nats = nats_of(model, scores, batch, weight)
        answers = model.decode(scores.detach(), batch.lengths)
        total = int(batch.lengths.sum())
        weighed = total if weight is None else float(weight[batch.targets[batch.targets != NO_TARGET]].sum())
        if tags.learned is None:
            return Outcome(nats, weighed, int((answers == batch.targets).sum()), total)
        lengths = batch.lengths.tolist()
        counts = count_entities(
            *(
                [tags.names(row[:length]) for row, length in zip(rows.T.tolist(), lengths, strict=True)]
                for rows in (answers, batch.targets)
            )
        )
        return Outcome(nats, weighed, 2 * counts.correct, counts.actual + counts.possible)

    return outcome


def decoded(model: Tagger, reader: Reader, rows: Sequence[Row], size: int) -> list[Tensor]:
    """The numbers of the best tags of each sentence, (T,) int64."""
    found = [torch.empty(0, dtype=torch.int64)] * len(rows)
    places = [torch.full((len(row.numbers),), place) for place, row in enumerate(rows)]
    with torch.no_grad():
        for batch in make_batches(reader, rows, places, size):
            answers = model.decode(model(batch.inputs, batch.lengths), batch.lengths)
            for column, length in enumerate(batch.lengths.tolist()):
                if length:
                    found[int(batch.targets[0, column])] = answers[:length, column]
    return found
