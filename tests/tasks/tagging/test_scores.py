"""Scores of the types of entities, beside those of all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.entities import count_entities
from gatewise.tasks.tagging.scores import entity_scores

TYPES = ["PER", "LOC"]
TAGS = st.sampled_from(["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in TYPES)])


def only(kind, sentences):
    return [[tag if tag[2:] == kind else "O" for tag in tags] for tags in sentences]


@given(st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=8), min_size=1, max_size=4))
def test_any_tags(sentences):
    answers, truth = ([[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1))
    found = entity_scores(answers, truth)
    for kind in TYPES:
        expected = count_entities(only(kind, answers), only(kind, truth))
        assert (kind in found) == bool(expected.actual or expected.possible)
        if kind in found:
            assert found[kind].support == expected.possible
            for measure in ("precision", "recall", "f1"):
                assert getattr(found[kind], measure) == pytest.approx(getattr(expected, measure))
    assert sum(score.support for score in found.values()) == count_entities(answers, truth).possible
