"""A label for each step of a sequence of numbers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch

from gatewise.data.labels import MostFrequent
from gatewise.data.mapped import Mapped
from gatewise.data.sequence_store import NumericSequence
from gatewise.models.encoder import length_mask
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.confusion import confusion, scores_of_counts
from gatewise.tasks.confusion_plot import plot_confusion
from gatewise.tasks.head import BATCH, Encoded
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.rows import Reader, Row
from gatewise.tasks.tagging.step_head import StepHead, loss_of
from gatewise.tasks.tagging.tag_set import TagSet


class LabelledSteps(NamedTuple):
    """The predicted label of each step of a sequence, and the probability of every label at each."""

    labels: list[str]
    probabilities: list[dict[str, float]]


class LabelledStepHead(StepHead):
    """One of K labels for each step; the baseline is the most frequent one. Targets are examples."""

    def __init__(self, options: NumericOptions, tags: TagSet, baseline: MostFrequent) -> None:
        super().__init__(tags, options.class_weights)
        self._baseline = baseline

    @classmethod
    def learn(cls, options: NumericOptions, targets: Sequence[NumericSequence]) -> Self:
        labels = Mapped(targets, lambda example: example.labels)
        tags = TagSet.learn(labels, "none")
        pairs = ((0, tags.labels.number(label)) for of_steps in labels for label in of_steps)
        return cls(options, tags, MostFrequent.learn(pairs))

    @classmethod
    def from_parts(cls, options: NumericOptions, parts: Mapping[str, Any]) -> Self:
        return cls(options, parts["tags"], parts["baseline"])

    @property
    def parts(self) -> dict[str, Any]:
        return {**super().parts, "baseline": self._baseline}

    def check(self, part: str, targets: Sequence[NumericSequence]) -> None:
        for number, example in enumerate(targets, 1):
            if example.label_count != example.length:
                raise ValueError(
                    f"{part.replace('_', ' ')}: sequence {number}: expected a label for each of {example.length} "
                    f"steps, got {example.label_count}"
                )
        super().check(part, targets)

    def _labels_of(self, target: NumericSequence) -> list[str]:
        return target.labels

    def scores(self, model: Tagger, data: Encoded[Any], plot: Path | None = None) -> dict[str, Any]:
        names = self.tags.including(Mapped(data.targets, self._labels_of)).labels.names
        counts, loss_sum, known = torch.zeros(len(names), len(names), dtype=torch.int64), 0.0, 0.0
        with torch.no_grad():
            batches = self.batches(data, BATCH)
            for batch in tracked(batches, "scoring", "steps", size=lambda batch: batch.steps):
                scores = model(batch.inputs, batch.lengths)
                of_batch, of_known = loss_of(model, scores.double(), batch)
                valid = length_mask(len(scores), batch.lengths)
                counts += confusion(scores[valid].argmax(-1), batch.targets[valid], len(names))
                loss_sum, known = loss_sum + float(of_batch), known + of_known
        if plot is not None:
            plot_confusion(counts, names, plot)
        found = scores_of_counts(counts, names, loss_sum, int(known), self._baseline.overall)
        return {"steps": int(counts.sum()), **found}

    def predict(self, model: Tagger, reader: Reader, rows: Sequence[Row]) -> list[LabelledSteps]:
        """The labels of each sequence."""
        names = self.tags.labels.names
        return [
            LabelledSteps(
                self.tags.names(found.argmax(1).tolist()),
                [dict(zip(names, row, strict=True)) for row in found.tolist()],
            )
            for found in self.probabilities(model, reader, rows)
        ]

    def rows(self, found: LabelledSteps, number: int, *, probabilities: bool, cells: bool) -> Iterator[dict[str, Any]]:
        """The output rows of a prediction, see `gatewise.tasks.numeric.pipeline.NumericHead`."""
        if not cells:
            yield {"labels": found.labels, **({"probabilities": found.probabilities} if probabilities else {})}
            return
        for step, (label, of_step) in enumerate(zip(*found, strict=True), 1):
            more = {"probabilities": of_step} if probabilities else {}
            yield {"sequence": number, "step": step, "label": label, **more}
