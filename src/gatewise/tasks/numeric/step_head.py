"""A label for each step of a sequence of numbers, as tags of words."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.labels import MostFrequent
from gatewise.data.mapped import Mapped
from gatewise.data.sequence_store import NumericSequence
from gatewise.models.encoder import length_mask
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.attribution import Question
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.classification.network import balanced
from gatewise.tasks.classification.scores import scores_of_counts
from gatewise.tasks.confusion import confusion
from gatewise.tasks.confusion_plot import plot_confusion
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.head import BATCH, Head
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.tagging.network import loss_of, make_batches, outcome_of, question_of, tag_probabilities
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.unknown_labels import check_labels


class LabelledSteps(NamedTuple):
    """The label of each step of a sequence, and the probability of every label at each."""

    labels: list[str]
    probabilities: list[dict[str, float]]


class StepHead(Head):
    """One of K labels for each step."""

    measure = Measure("accuracy", "steps", "nats/step")

    def __init__(self, options: NumericOptions, reader: FeatureReader, tags: TagSet, baseline: MostFrequent) -> None:
        super().__init__(options, reader)
        self._tags = tags
        self._baseline = baseline

    @classmethod
    def learn(cls, options: NumericOptions, reader: FeatureReader, examples: Sequence[NumericSequence]) -> Self:
        """The labels of the training data."""
        tags = TagSet.learn([sorted(_classes(examples))], "none")
        pairs = ((0, tags.labels.number(label)) for example in examples for label in example.labels)
        return cls(options, reader, tags, MostFrequent.learn(pairs))

    @classmethod
    def from_parts(cls, options: NumericOptions, reader: FeatureReader, parts: dict[str, Any]) -> Self:
        """That of a run folder."""
        return cls(options, reader, parts["tags"], parts["baseline"])

    @property
    def parts(self) -> dict[str, Any]:
        return {"tags": self._tags, "baseline": self._baseline}

    def make_model(self) -> Tagger:
        steps, encoder = self.reader.embedding(), self.make_encoder()
        return initialised(Tagger(steps, encoder, self._tags.labels.size), self.options)

    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        for number, example in enumerate(examples, 1):
            count = len(example.labels)
            if count != example.length:
                raise ValueError(
                    f"{where.replace('_', ' ')}: sequence {number}: expected a label for each of {example.length} "
                    f"steps, got {count}"
                )
        check_labels(where, chain.from_iterable(example.labels for example in examples), self._tags.labels)

    def batches(self, examples: Sequence[NumericSequence], size: int, seed: int | None = None) -> RaggedBatches:
        tags = self._tags.including([sorted(_classes(examples))])
        targets = Mapped(examples, lambda example: tags.numbers(example.labels))
        return make_batches(self.reader, examples, targets, size, seed)

    def statistics_of(self, model: Tagger, training: Sequence[NumericSequence]) -> Callable[[Batch], BatchStatistics]:
        weights = None
        if self.options.class_weights == "balanced":
            targets = [self._tags.labels.number(label) for example in training for label in example.labels]
            weights = balanced(targets, self._tags.labels.size)
        return outcome_of(model, self._tags, weights)

    def scores(self, model: Any, examples: Sequence[NumericSequence], plot: Path | None = None) -> dict[str, Any]:
        names = self._tags.including([sorted(_classes(examples))]).labels.names
        counts, loss_sum, known = torch.zeros(len(names), len(names), dtype=torch.int64), 0.0, 0.0
        batches = self.batches(examples, BATCH)
        with torch.no_grad():
            for batch in tracked(batches, "scoring", "steps", size=lambda batch: batch.steps):
                scores = model(batch.inputs, batch.lengths)
                of_batch, of_known = loss_of(model, scores.double(), batch)
                valid = length_mask(len(scores), batch.lengths)
                counts += confusion(scores[valid].argmax(-1), batch.targets[valid], len(names))
                loss_sum, known = loss_sum + float(of_batch), known + of_known
        if plot is not None:
            plot_confusion(counts, names, plot)
        found = scores_of_counts(counts, names, loss_sum, int(known))
        steps = int(counts.sum())
        share = int(counts[self._baseline.overall].sum()) / steps
        return {"sequences": len(examples), "steps": steps, **found, "baseline_accuracy": share}

    def question(self, model: Any, x: Tensor, names: Sequence[str]) -> Question:
        return question_of(model, x, self._tags)

    def predict(self, model: Any, examples: Sequence[NumericSequence]) -> list[LabelledSteps]:
        names = self._tags.labels.names
        return [
            LabelledSteps(
                self._tags.names(of_steps.argmax(1).tolist()),
                [dict(zip(names, row, strict=True)) for row in of_steps.tolist()],
            )
            for of_steps in tag_probabilities(model, self.reader, examples, BATCH)
        ]

    def rows(self, found: LabelledSteps, number: int, *, probabilities: bool, cells: bool) -> Iterator[dict[str, Any]]:
        if not cells:
            yield {"labels": found.labels, **({"probabilities": found.probabilities} if probabilities else {})}
            return
        for step, (label, of_step) in enumerate(zip(*found, strict=True), 1):
            more = {"probabilities": of_step} if probabilities else {}
            yield {"sequence": number, "step": step, "label": label, **more}


def _classes(examples: Sequence[NumericSequence]) -> set[str]:
    return set().union(*(example.classes for example in examples))
