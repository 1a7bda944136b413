"""Confusion matrices and what follows from them, as torchmetrics has it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from gatewise.tasks.class_scores import NameCounts
from gatewise.tasks.confusion import class_scores, confusion, macro_f1

NAMES = ["a", "b", "c", "d"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_any_answers(pairs):
    answers, targets = torch.tensor(pairs).unbind(1)
    counts = confusion(answers, targets, 4)
    assert torch.equal(counts, multiclass_confusion_matrix(answers, targets, 4))
    assert macro_f1(counts) == pytest.approx(float(multiclass_f1_score(answers, targets, 4, average="macro")), abs=1e-6)
    found = class_scores(counts, NAMES)
    assert set(found) == {NAMES[number] for pair in pairs for number in pair}
    measures = {"precision": multiclass_precision, "recall": multiclass_recall, "f1": multiclass_f1_score}
    for measure, function in measures.items():
        expected = function(answers, targets, 4, average="none").tolist()
        for name, score in found.items():
            assert getattr(score, measure) == pytest.approx(expected[NAMES.index(name)], abs=1e-6)
    assert sum(score.support for score in found.values()) == len(pairs)
    predicted, truth = ([NAMES[number] for number in side] for side in zip(*pairs, strict=True))
    by_name = NameCounts()
    by_name.add(
        correct=[one for one, true in zip(predicted, truth, strict=True) if one == true],
        predicted=predicted,
        support=truth,
    )
    assert by_name.scores == found
