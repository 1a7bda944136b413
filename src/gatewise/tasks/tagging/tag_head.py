"""The tags of words or characters, with the scores of entities where tags mark these."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from gatewise.data.batches import Batch
from gatewise.data.entities import count_entities
from gatewise.data.labels import Labels, MostFrequent
from gatewise.models.conditional_random_field import ConditionalRandomField
from gatewise.models.tagger import Tagger
from gatewise.models.token_embedding import FeaturedEmbedding, TokenEmbedding
from gatewise.progress import Progress, say
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.heads.head import BATCH, PART, Encoded
from gatewise.tasks.heads.step_labels import StepHead, loss_of
from gatewise.tasks.heads.tag_set import TagSet
from gatewise.tasks.rows import Reader
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.tagging.scores import TagScores
from gatewise.tasks.token_rows import TokenRows


class TagHead(StepHead):
    """The tag of each token: a softmax, or a conditional random field over whole sentences.

    Args:
        options: the options of the run.
        tags: the tags that the network learns.
        written: the tags as the data has them.
        baseline: the most frequent one of each token.
    """

    label = "tag"
    scoring_passes = 2  # for the loss, and for the tags

    def __init__(
        self, options: TaggingOptions, tags: TagSet, written: Labels | None = None, baseline: MostFrequent | None = None
    ) -> None:
        super().__init__(tags, baseline)
        self._written = tags.labels if written is None else written
        self.measure = "accuracy" if tags.learned is None else "entity_f1"
        self.loss_unit = "nats/word" if options.unit == "word" else "nats/character"

    @classmethod
    def learn(cls, options: TaggingOptions, targets: Sequence[Sequence[str]]) -> Self:
        # E- and S- depend on the next word, which one direction has not read.
        auto = "bioes" if options.bidirectional else "bio"
        if options.scheme == "bioes" and options.output == "softmax" and not options.bidirectional:
            say(
                "warning: scheme bioes: its tags E- and S- need a word that one direction has not read yet; bio does "
                "not"
            )
        return cls(options, TagSet.learn(targets, options.scheme, auto))

    @classmethod
    def from_parts(cls, options: TaggingOptions, parts: Mapping[str, Any]) -> Self:
        # Runs of earlier versions have the baseline in the tags that the network knows.
        return cls(options, parts["tags"], parts.get("written"), parts["baseline"])

    def learn_baseline(self, training: Encoded[TokenRows]) -> None:
        self._written = written = Labels.learn(itertools.chain.from_iterable(training.targets))
        pairs = (
            (number, written.number(tag))
            for numbers, tags in zip(training.rows.numbers, training.targets, strict=True)
            for number, tag in zip(numbers.tolist(), tags, strict=True)
        )
        self._baseline = MostFrequent.learn(pairs, training.reader.parts["tokens"].size)

    @property
    def parts(self) -> dict[str, Any]:
        return {"tags": self.tags, "written": self._written, "baseline": self._baseline}

    @property
    def summary(self) -> str:
        """How many tags there are, for people."""
        return f"tags: {self.tags.labels.size}" + (f" (scheme {self.tags.learned})" if self.tags.learned else "")

    def _network(self, reader: Reader, options: TaggingOptions) -> Tagger:
        steps = reader.first_layer(options)
        field = ConditionalRandomField(self.tags.allowed) if options.output == "crf" else None
        if options.feature_connections == "input" or not isinstance(steps, FeaturedEmbedding):
            return Tagger(steps, reader.encoder(options, steps), self.size, field)
        # A weight for each value of a feature and each tag, 0 at first: values that training does not have say nothing.
        weights = [TokenEmbedding(count, self.size) for count in steps.value_counts]
        for one in weights:
            nn.init.zeros_(one.embedding.weight)
        encoder = make_encoder(options, steps.tokens.width)
        return Tagger(FeaturedEmbedding(steps.tokens, weights), encoder, self.size, field, direct=len(weights))

    def _counts(self, targets: Sequence[Sequence[str]]) -> Callable[[Tensor, Batch], tuple[float, float]]:
        if self.tags.learned is None:
            return super()._counts(targets)
        tags = self.tags.including(targets)

        def counts(found: Tensor, batch: Batch) -> tuple[float, float]:
            lengths = batch.lengths.tolist()
            predicted, expected = (
                [tags.names(row[:length]) for row, length in zip(rows.T.tolist(), lengths, strict=True)]
                for rows in (found, batch.targets)
            )
            entities = count_entities(predicted, expected)
            return 2 * entities.correct, entities.actual + entities.possible

        return counts

    def scores(self, model: Tagger, data: Encoded[TokenRows], plot: Path | None = None) -> dict[str, Any]:
        """``loss`` and ``accuracy`` per token, entities, baselines, and the scores of each tag; there is no plot."""
        assert self._baseline is not None
        total, scores = BatchStatistics.sum(()), TagScores(self.tags)
        with torch.no_grad(), Progress("scoring", "tokens", int(data.rows.lengths.sum())) as progress:
            for start in range(0, len(data.rows), PART):
                some = data.part(slice(start, start + PART))
                for batch in self.batches(some, BATCH):
                    loss = loss_of(model, model(batch.inputs, batch.lengths), batch)
                    total = total.plus(BatchStatistics(*loss, 0, 0))
                    progress.advance(batch.steps, batch.steps)
                guesses = (self._baseline.guess(row.numbers.tolist()) for row in some.rows)
                baseline = [[self._written.names[number] for number in row] for row in guesses]
                scores.add(self.predicted(model, data.reader, some.rows), baseline, list(some.targets))
        return scores.found(total.loss)
