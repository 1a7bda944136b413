"""A label for each step of a sequence of numbers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.data.labels import MostFrequent
from gatewise.data.numeric_sequences import NumericSequence
from gatewise.models.encoder import length_mask
from gatewise.models.tagger import Tagger
from gatewise.progress import tracked
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.classification.network import balanced
from gatewise.tasks.classification.scores import label_scores
from gatewise.tasks.confusion_plot import plot_confusion
from gatewise.tasks.initial_weights import initialised
from gatewise.tasks.inspection import log_odds
from gatewise.tasks.measure import Measure
from gatewise.tasks.numeric.inspection import Question, log_probabilities
from gatewise.tasks.numeric.objective import BATCH, Goal
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.numeric.reader import FeatureReader
from gatewise.tasks.prediction_io import in_groups
from gatewise.tasks.tagging.network import decoded, make_batches, outcome_of, tag_probabilities
from gatewise.tasks.tagging.tag_set import TagSet
from gatewise.tasks.unknown_labels import check_labels


class LabelledSteps(NamedTuple):
    """The label of each step of a sequence."""

    labels: list[str]


class StepLabels(Goal):
    """One of K labels for each step."""

    measure = Measure("accuracy", "steps", "nats/step")

    def __init__(self, options: NumericOptions, reader: FeatureReader, tags: TagSet, baseline: MostFrequent) -> None:
        super().__init__(options, reader)
        self._tags = tags
        self._baseline = baseline

    @classmethod
    def learn(cls, options: NumericOptions, reader: FeatureReader, examples: Sequence[NumericSequence]) -> Self:
        """The labels of the training data."""
        tags = TagSet.learn((labels for _, labels in examples), "none")
        pairs = ((0, tags.labels.number(label)) for _, labels in examples for label in labels)
        return cls(options, reader, tags, MostFrequent.learn(pairs))

    @classmethod
    def from_parts(cls, options: NumericOptions, reader: FeatureReader, parts: dict[str, Any]) -> Self:
        """That of a run folder."""
        return cls(options, reader, parts["tags"], parts["baseline"])

    @property
    def parts(self) -> dict[str, Any]:
        return {"tags": self._tags, "baseline": self._baseline}

    def make_model(self) -> Tagger:
        return initialised(Tagger(nn.Identity(), self.make_encoder(), self._tags.labels.size), self.options)

    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        super().check(examples, where)
        check_labels(where, (label for _, labels in examples for label in labels), self._tags.labels)

    def batches(
        self, examples: Sequence[NumericSequence], where: str, size: int, seed: int | None = None
    ) -> RaggedBatches:
        rows = self.read(examples, where)
        return make_batches(self.reader, rows, self._targets(examples, where), size, seed)

    def outcome_of(self, model: Tagger, training: Sequence[NumericSequence]) -> Callable[[Batch], BatchStatistics]:
        balance = self.options.class_weights == "balanced"
        targets = torch.cat(self._targets(training, "the data")).tolist() if balance else []
        return outcome_of(model, self._tags, balanced(targets, self._tags.labels.size) if balance else None)

    def scores(
        self, model: nn.Module, examples: Sequence[NumericSequence], where: str, folder: Path | None = None
    ) -> dict[str, Any]:
        assert isinstance(model, Tagger)
        logits: list[Tensor] = []
        targets: list[Tensor] = []
        with torch.no_grad():
            for batch in tracked(
                self.batches(examples, where, BATCH), "scoring", "steps", size=lambda batch: batch.steps
            ):
                told = model(batch.inputs, batch.lengths)
                valid = length_mask(len(told), batch.lengths)
                logits.append(told[valid].float())
                targets.append(batch.targets[valid])
        truth = torch.cat(targets)
        labels = self._tags.including(of_steps for _, of_steps in examples).labels
        scores, confusion = label_scores(torch.cat(logits), truth, labels.names)
        if folder is not None:
            plot_confusion(confusion, labels.names, folder / f"confusion_{where}.png")
        right = int((truth == self._baseline.overall).sum())
        return {"sequences": len(examples), "steps": len(truth), **scores, "baseline_accuracy": right / len(truth)}

    def predict(self, model: nn.Module, sequences: Sequence[list[list[float]]]) -> list[LabelledSteps]:
        assert isinstance(model, Tagger)
        answers = decoded(model, self.reader, [self.reader.read(steps) for steps in sequences], BATCH)
        return [LabelledSteps(self._tags.names(row.tolist())) for row in answers]

    def probabilities(self, model: Tagger, sequences: Sequence[list[list[float]]]) -> list[list[dict[str, float]]]:
        """The probability of each label at each step of sequences."""
        names = self._tags.labels.names
        found = tag_probabilities(model, self.reader, [self.reader.read(steps) for steps in sequences], BATCH)
        return [[dict(zip(names, row, strict=True)) for row in of_steps.tolist()] for of_steps in found]

    def rows(
        self, model: nn.Module, sequences: Iterable[list[list[float]]], *, probabilities: bool, cells: bool
    ) -> Iterator[dict[str, Any]]:
        assert isinstance(model, Tagger)
        number = 0
        for group in in_groups(sequences, BATCH):
            values = self.probabilities(model, group) if probabilities else [None] * len(group)
            for (labels,), of_steps in zip(self.predict(model, group), values, strict=True):
                number += 1
                if not cells:
                    yield {"labels": labels, **({} if of_steps is None else {"probabilities": of_steps})}
                    continue
                for step, label in enumerate(labels):
                    of_step = {} if of_steps is None else {"probabilities": of_steps[step]}
                    yield {"sequence": number, "step": step + 1, "label": label, **of_step}

    def question(self, model: Tagger, x: Tensor, features: Sequence[str]) -> Question:
        with torch.no_grad():
            probabilities, answers = log_probabilities(model, x)[:, 0].exp().max(1)

        def of_answers(x: Tensor) -> Tensor:
            chosen = answers[:, None, None].expand(-1, x.shape[1], 1)
            return log_probabilities(model, x).gather(2, chosen)[..., 0].T

        return Question(
            self._tags.names(answers.tolist()),
            True,
            "probability",
            probabilities.tolist(),
            lambda x: log_odds(of_answers(x)),
            lambda x: -of_answers(x).mean(),
        )

    def _targets(self, examples: Sequence[NumericSequence], where: str) -> list[Tensor]:
        for number, (steps, labels) in enumerate(examples, 1):
            if len(labels) != len(steps):
                place = f"{where.replace('_', ' ')}: sequence {number}"
                raise ValueError(f"{place}: expected a label for each of {len(steps)} steps, got {len(labels)}")
        tags = self._tags.including(labels for _, labels in examples)
        return [tags.numbers(labels) for _, labels in examples]
