"""The network of a tagging run, and what comes of a batch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches, padded
from gatewise.data.entities import count_entities
from gatewise.data.streams import NO_TARGET
from gatewise.models.conditional_random_field import ConditionalRandomField
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.attribution import Question
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.rows import Reader, Row, steps_of
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.tagging.word_features import FeatureReader
from gatewise.tasks.token_reader import TokenReader
from gatewise.tasks.unknown_labels import known_cross_entropy


def make_model(options: TaggingOptions, reader: TokenReader, tags: TagSet) -> Tagger:
    """The model that the options describe, with its initial weights."""
    steps = reader.featured_embedding(options) if isinstance(reader, FeatureReader) else reader.embedding(options)
    field = ConditionalRandomField(tags.allowed) if options.output == "crf" else None
    return initialised(Tagger(steps, make_encoder(options, steps.width), tags.labels.size, field), options)


def make_batches(
    reader: Reader, rows: Sequence[Row], targets: Sequence[Tensor], size: int, seed: int | None = None
) -> RaggedBatches:
    """Sentences and the numbers of their tags in batches."""

    def make(places: list[int]) -> Batch:
        inputs, lengths = reader.batch([rows[place] for place in places])
        return Batch(inputs, lengths, padded([targets[place] for place in places], NO_TARGET))

    return RaggedBatches(steps_of(rows), make, size, seed=seed)


def loss_of(model: Tagger, scores: Tensor, batch: Batch, weights: Tensor | None = None) -> tuple[Tensor, float]:
    """The sum of the loss over all sentences: cross entropy, or minus the log-likelihood of whole sentences.

    Targets of K and more are tags that are unknown in training. They have no loss; with a conditional random field
    their whole sentence has none.

    Args:
        model: the model.
        scores: what it made of the batch.
        batch: the sentences.
        weights: (K,), of tags in the cross entropy.

    Returns:
        the sum, and how many tags are in it, or the sum of their weights.
    """
    if model.transitions is None:
        return known_cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), weights)
    unknown = batch.targets >= scores.shape[2]
    known = ~unknown.any(0)
    targets = batch.targets.clamp(min=0).masked_fill(unknown, 0)
    likelihoods = model.transitions.log_likelihood(scores, targets, batch.lengths)
    return -likelihoods.where(known, 0).sum(), int(batch.lengths[known.to(batch.lengths.device)].sum())


def outcome_of(model: Tagger, tags: TagSet, weights: Tensor | None = None) -> Callable[[Batch], BatchStatistics]:
    """The function that computes loss and scores of a batch: accuracy or, for tags of entities, F1 as a ratio.

    In the loss tags may have weights (K,). The tags include those of the batches that are unknown in training.
    """

    def outcome(batch: Batch) -> BatchStatistics:
        scores = model(batch.inputs, batch.lengths)
        nats, weighed = loss_of(model, scores, batch, None if weights is None else weights.to(scores))
        answers = model.decode(scores.detach(), batch.lengths)
        if tags.learned is None:
            return BatchStatistics(nats, weighed, int((answers == batch.targets).sum()), int(batch.lengths.sum()))
        lengths = batch.lengths.tolist()
        counts = count_entities(
            *(
                [tags.names(row[:length]) for row, length in zip(rows.T.tolist(), lengths, strict=True)]
                for rows in (answers, batch.targets)
            )
        )
        return BatchStatistics(nats, weighed, 2 * counts.correct, counts.actual + counts.possible)

    return outcome


def question_of(model: Tagger, x: Tensor, tags: TagSet) -> Question:
    """What `inspect` asks about a sentence: the probability of each of its best tags.

    Args:
        model: the model.
        x: the steps (T, 1, I) as its encoder reads them.
        tags: its tags.
    """
    lengths = torch.tensor([len(x)])
    with torch.no_grad():
        numbers = model.decode(model.read(x, lengths), lengths)

    def read_out(scores: Tensor) -> Tensor:
        found = model.log_probabilities(scores.double(), lengths.expand(scores.shape[1]))
        return found.gather(2, numbers[..., None].expand(-1, scores.shape[1], 1))[..., 0].T

    def loss(x: Tensor) -> Tensor:
        total, count = loss_of(model, model.read(x, lengths), Batch((), lengths, numbers))
        return total / count

    return Question(tags.written(tags.names(numbers[:, 0].tolist())), read_out, of_steps=True, loss=loss)


def decoded(model: Tagger, reader: Reader, rows: Sequence[Row], size: int) -> list[Tensor]:
    """The numbers of the best tags of each sentence, (T,) int64."""
    return _of_sentences(model, reader, rows, size, model.decode)


def tag_probabilities(model: Tagger, reader: Reader, rows: Sequence[Row], size: int) -> list[Tensor]:
    """The probability of each tag at each step of each sentence, (T, K) float64."""

    def read_out(scores: Tensor, lengths: Tensor) -> Tensor:
        return model.log_probabilities(scores.double(), lengths).exp()

    return _of_sentences(model, reader, rows, size, read_out)


def _of_sentences(
    model: Tagger,
    reader: Reader,
    rows: Sequence[Row],
    size: int,
    read_out: Callable[[Tensor, Tensor], Tensor],
) -> list[Tensor]:
    """What is read out of the scores (T, B, K) and lengths (B,) of batches, (T, B, ...), by sentence."""
    found = [torch.empty(0)] * len(rows)
    with torch.no_grad():
        batches = RaggedBatches(steps_of(rows), list, size)
        for places in tracked(batches, "tagging", "sentences", size=len):
            inputs, lengths = reader.batch([rows[place] for place in places])
            answers = read_out(model(inputs, lengths), lengths)
            for column, (place, length) in enumerate(zip(places, lengths.tolist(), strict=True)):
                found[place] = answers[:length, column]
    return found
