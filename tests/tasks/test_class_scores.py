"""Scores of classes: what is one, and what is not."""

import json

import pytest

from gatewise.tasks.class_scores import ClassScore, NameCounts, as_numbers, is_score_table


def test_a_class_that_is_never_answered_or_never_true():
    counts = NameCounts()
    counts.add(correct=["a"], predicted=["a", "b"], support=["a", "c"])
    found = counts.scores
    assert found == {
        "a": ClassScore(1.0, 1.0, 1.0, 1),
        "b": ClassScore(0.0, 0.0, 0.0, 0),
        "c": ClassScore(0.0, 0.0, 0.0, 1),
    }
    assert is_score_table(json.loads(json.dumps(as_numbers(found))))


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        [],
        {"a": 0.5},
        {"a": {}},
        {"a": 0.5, "b": {"f1": 1}},
        {"a": {"precision": 1, "recall": 1, "f1": 1, "support": 1}, "b": {"precision": 1, "recall": 1, "f1": 1}},
        {"a": {"precision": 1, "recall": 1, "f1": 1, "support": "1"}},
        {"a": {"precision": 1, "recall": 1, "f1": 1, "support": True}},
        {"a": {"precision": 1}, "b": {"precision": 1, "more": 1}},
    ],
)
def test_what_is_no_table_of_scores(value):
    assert not is_score_table(value)
