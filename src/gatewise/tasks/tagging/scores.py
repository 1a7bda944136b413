"""How well sentences were tagged."""

from collections.abc import Sequence
from typing import Any

from gatewise.data.entities import entities
from gatewise.tasks.class_scores import NameCounts, as_numbers
from gatewise.tasks.heads.tag_set import TagSet


class TagScores:
    """The scores of sentences that come in parts, of which counts alone are kept.

    Args:
        tags: those of the model.
    """

    def __init__(self, tags: TagSet) -> None:
        self._tags = tags
        self._tokens = self._correct = self._unknown = self._invalid = self._baseline_correct = 0
        self._per_tag, self._entities, self._baseline = NameCounts(), NameCounts(), NameCounts()

    def add(
        self, predictions: Sequence[Sequence[str]], baseline: Sequence[list[str]], truth: Sequence[list[str]]
    ) -> None:
        """Add some sentences.

        Args:
            predictions: their tags, as the model has learned to write them.
            baseline: those of the baseline, as the data writes them.
            truth: the true tags, likewise.
        """
        for predicted, guess, true in zip(predictions, baseline, truth, strict=True):
            written = self._tags.written(predicted)
            correct = [one for one, other in zip(written, true, strict=True) if one == other]
            self._tokens += len(true)
            self._correct += len(correct)
            self._unknown += sum(not self._tags.knows(tag) for tag in true)
            self._baseline_correct += sum(one == other for one, other in zip(guess, true, strict=True))
            self._per_tag.add(correct=correct, predicted=written, support=true)
            if self._tags.learned is not None:
                self._invalid += not self._tags.valid(predicted)
                _add_entities(self._entities, predicted, true)
                _add_entities(self._baseline, guess, true)

    def found(self, loss: float) -> dict[str, Any]:
        """The scores by name, see `gatewise.tasks.tagging.trained.TrainedTagger`."""
        scores: dict[str, Any] = {
            "unknown_tags": self._unknown,
            "loss": loss,
            "accuracy": self._correct / self._tokens,
        }
        baseline, per_tag = self._baseline_correct / self._tokens, as_numbers(self._per_tag.scores)
        if self._tags.learned is None:
            return {**scores, "baseline_accuracy": baseline, "per_tag": per_tag}
        of_entities = self._entities.total
        return {
            **scores,
            "entity_precision": of_entities.precision,
            "entity_recall": of_entities.recall,
            "entity_f1": of_entities.f1,
            "invalid_sentences": self._invalid,
            "baseline_accuracy": baseline,
            "baseline_entity_f1": self._baseline.total.f1,
            "per_entity": as_numbers(self._entities.scores),
            "per_tag": per_tag,
        }


def _add_entities(counts: NameCounts, predicted: Sequence[str], true: Sequence[str]) -> None:
    """Count entities by their types: one is correct where its type and both ends are."""
    found, expected = set(entities(predicted)), set(entities(true))
    counts.add(
        correct=(entity.type for entity in found & expected),
        predicted=(entity.type for entity in found),
        support=(entity.type for entity in expected),
    )
