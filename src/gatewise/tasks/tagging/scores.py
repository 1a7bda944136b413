"""How well sentences were tagged."""

from collections.abc import Sequence
from typing import Any

from gatewise.data.entities import entities
from gatewise.tasks.class_scores import NameCounts, as_numbers
from gatewise.tasks.tagging.tag_set import TagSet


class TagScores:
    """The scores of sentences that come in parts, of which counts alone are kept.

    Args:
        tags: those of the model.
    """

    def __init__(self, tags: TagSet) -> None:
        self._tags = tags
        self._tokens = self._right = self._unknown = self._invalid = self._guessed = 0
        self._per_tag, self._entities, self._baseline = NameCounts(), NameCounts(), NameCounts()

    def add(self, answers: Sequence[Sequence[str]], guesses: Sequence[list[str]], truth: Sequence[list[str]]) -> None:
        """Add some sentences.

        Args:
            answers: their tags, as the model has learned to write them.
            guesses: those of the baseline, as the data writes them.
            truth: the true tags, likewise.
        """
        for answer, guess, true in zip(answers, guesses, truth, strict=True):
            written = self._tags.written(answer)
            right = [one for one, other in zip(written, true, strict=True) if one == other]
            self._tokens += len(true)
            self._right += len(right)
            self._unknown += sum(not self._tags.knows(tag) for tag in true)
            self._guessed += sum(one == other for one, other in zip(guess, true, strict=True))
            self._per_tag.add(right=right, answered=written, support=true)
            if self._tags.learned is not None:
                self._invalid += not self._tags.valid(answer)
                _add_entities(self._entities, answer, true)
                _add_entities(self._baseline, guess, true)

    def found(self, loss: float) -> dict[str, Any]:
        """The scores by name, see `gatewise.tasks.tagging.trained.TrainedTagger`."""
        scores: dict[str, Any] = {
            "unknown_tags": self._unknown,
            "loss": loss,
            "accuracy": self._right / self._tokens,
        }
        baseline, per_tag = self._guessed / self._tokens, as_numbers(self._per_tag.scores)
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


def _add_entities(counts: NameCounts, answer: Sequence[str], true: Sequence[str]) -> None:
    """Count entities by their types: one is right where its type and both ends are."""
    found, expected = set(entities(answer)), set(entities(true))
    counts.add(
        right=(entity.type for entity in found & expected),
        answered=(entity.type for entity in found),
        support=(entity.type for entity in expected),
    )
