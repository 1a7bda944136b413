"""Scores of the types of entities, beside those of all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.entities import count_entities
from gatewise.data.labels import Labels
from gatewise.tasks.heads.tag_set import TagSet
from gatewise.tasks.tagging.scores import TagScores

TYPES = ["PER", "LOC"]
TAGS = st.sampled_from(["O", *(f"{letter}-{kind}" for letter in "BIES" for kind in TYPES)])


def only(kind, sentences):
    return [[tag if tag[2:] == kind else "O" for tag in tags] for tags in sentences]


MODEL = TagSet(Labels(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), "bio", "bioes")


@given(
    st.lists(st.lists(st.tuples(TAGS, TAGS, TAGS), max_size=8), min_size=1, max_size=4).filter(any), st.integers(0, 4)
)
def test_any_tags(sentences, cut):
    answers, guesses, truth = ([[tags[side] for tags in sentence] for sentence in sentences] for side in (0, 1, 2))
    counts = TagScores(MODEL)
    for part in (slice(cut), slice(cut, None)):
        counts.add(answers[part], guesses[part], truth[part])
    scores = counts.found(0.5)
    found = scores["per_entity"]
    for kind in TYPES:
        expected = count_entities(only(kind, answers), only(kind, truth))
        assert (kind in found) == bool(expected.actual or expected.possible)
        if kind in found:
            assert found[kind]["support"] == expected.possible
            for measure in ("precision", "recall", "f1"):
                assert found[kind][measure] == pytest.approx(getattr(expected, measure))
    whole = count_entities(answers, truth)
    assert sum(score["support"] for score in found.values()) == whole.possible
    for measure in ("precision", "recall", "f1"):
        assert scores[f"entity_{measure}"] == pytest.approx(getattr(whole, measure))
    assert scores["baseline_entity_f1"] == pytest.approx(count_entities(guesses, truth).f1)
    flat = [(MODEL.written(answer), guess, true) for answer, guess, true in zip(answers, guesses, truth, strict=True)]
    tokens = [triple for rows in flat for triple in zip(*rows, strict=True)]
    assert scores["accuracy"] == sum(answer == true for answer, _, true in tokens) / len(tokens)
    assert scores["baseline_accuracy"] == sum(guess == true for _, guess, true in tokens) / len(tokens)
    assert scores["invalid_sentences"] == sum(not MODEL.valid(answer) for answer in answers)
    assert sum(score["support"] for score in scores["per_tag"].values()) == len(tokens)
