"""Entities as tags, against the rules of conlleval written out as its script has them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator

from gatewise.data.entities import (
    Entity,
    are_entities,
    count_entities,
    entities,
    may_follow,
    meant_as_entities,
    scheme_of,
    tags_of,
    written_letters,
)

BIO = ["O", *(f"{letter}-{kind}" for kind in ("X", "Y") for letter in "BI")]
BIOES = ["O", *(f"{letter}-{kind}" for kind in ("X", "Y") for letter in "BIES")]


def starts(before, before_kind, letter, kind):
    """startOfChunk of conlleval.txt (CoNLL-2003), its conditions one by one."""
    return (
        letter == "B"
        or (before == "E" and letter in "EI")
        or (before == "O" and letter in "EI")
        or (letter not in "O." and before_kind != kind)
    )


def ends(before, before_kind, letter, kind):
    """endOfChunk of conlleval.txt."""
    return (
        (before == "B" and letter in "BO")
        or (before == "I" and letter in "BO")
        or before == "E"
        or (before not in "O." and before_kind != kind)
    )


def by_conlleval(tags):
    found, first, before, before_kind = [], None, "O", ""
    for position, tag in enumerate([*tags, "O"]):
        letter, _, kind = tag.partition("-")
        if first is not None and ends(before, before_kind, letter, kind):
            found.append(Entity(before_kind, first, position))
            first = None
        if starts(before, before_kind, letter, kind):
            first = position
        before, before_kind = letter, kind
    return found


@pytest.mark.parametrize("length", range(6))
def test_every_sequence_of_tags_has_the_entities_of_conlleval(length):
    # The script knows B, I, E and O.
    names = [name for name in BIOES if name[0] != "S"]
    for tags in itertools.product(names, repeat=length):
        assert entities(tags) == by_conlleval(tags), tags


@given(st.lists(st.tuples(st.sampled_from("XY"), st.integers(0, 2), st.integers(1, 3)), max_size=5))
def test_entities_survive_every_scheme(parts):
    found, end = [], 0
    for kind, gap, length in parts:
        found.append(Entity(kind, end + gap, end + gap + length))
        end += gap + length
    for scheme in ("bio", "bioes"):
        tags = tags_of(found, end + 1, scheme)
        assert entities(tags) == found
        around = [None, *tags, None]
        assert all(may_follow(*pair, scheme) for pair in itertools.pairwise(around))
    lower = [{"S": "U", "E": "L"}.get(tag[0], tag[0]) + tag[1:] for tag in tags_of(found, end + 1, "bioes")]
    assert entities(lower) == found


@pytest.mark.parametrize(("scheme", "names"), [("bio", BIO), ("bioes", BIOES)])
@pytest.mark.parametrize("length", range(5))
def test_tags_are_allowed_exactly_where_reading_and_writing_leaves_them_alone(scheme, names, length):
    for tags in itertools.product(names, repeat=length):
        around = [None, *tags, None]
        valid = all(may_follow(*pair, scheme) for pair in itertools.pairwise(around))
        assert valid == (tags_of(entities(tags), length, scheme) == list(tags)), tags


def test_what_tags_are():
    assert are_entities({"O", "S-LOC"})
    assert not are_entities({"B-LOC", "I-LOC"})
    assert not are_entities({"O", "B"})
    assert scheme_of([["O", "B-X", "I-X"]]) == "bio"
    assert scheme_of([["O", "U-X"]]) == "bilou"


def test_counts_and_their_ratios():
    counts = count_entities([["B-X", "I-X", "O", "B-Y"], ["O"]], [["B-X", "I-X", "B-Y", "B-Y"], ["B-X"]])
    assert (counts.correct, counts.actual, counts.possible) == (2, 2, 4)
    assert (counts.precision, counts.recall, counts.f1) == (1.0, 0.5, pytest.approx(2 / 3))
    nothing = count_entities([["O"]], [["O"]])
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)


ROWS = st.lists(st.lists(st.tuples(st.sampled_from(BIO), st.sampled_from(BIO)), min_size=1, max_size=8), max_size=4)


def tags_of_rows(rows):
    return [[[pair[part] for pair in row] for row in rows] for part in (0, 1)]


@given(ROWS)
def test_counts_are_those_of_sets_of_entities(rows):
    answers, truth = tags_of_rows(rows)
    found = count_entities(answers, truth)
    predicted, known = (
        {(position, one) for position, row in enumerate(part) for one in entities(row)} for part in (answers, truth)
    )
    assert (found.correct, found.actual, found.possible) == (len(predicted & known), len(predicted), len(known))
    assert found.f1 == pytest.approx(2 * len(predicted & known) / max(1, len(predicted) + len(known)))


@given(ROWS)
def test_counts_are_those_of_the_whole_of_nervaluate(rows):
    truth, answers = tags_of_rows(rows)
    if not rows:
        return
    strict = Evaluator(truth, answers, tags=["X", "Y"], loader="list").evaluate()["overall"]["strict"]
    assert count_entities(answers, truth) == strict


@pytest.mark.parametrize(
    ("counts", "meant"),
    [
        ({"O": 90, "B-LOC": 5, "I-LOC": 4, "0": 1}, True),
        ({"O": 90, "B-LOC": 5, "LOC": 4, "": 1, "B-": 1}, True),
        ({"0": 90, "B-LOC": 5, "I-LOC": 4}, True),
        ({"O": 9, "B-LOC": 5}, True),
        ({"O": 80, "B-LOC": 5, "NOUN": 15}, False),
        ({"NOUN": 90, "B-LOC": 5}, False),
        ({"NOUN": 90, "VERB": 9, "O": 1}, False),
        ({}, False),
    ],
)
def test_tags_are_meant_as_entities_but_for_a_few_mistakes(counts, meant):
    assert meant_as_entities(counts) == meant


SPANS = st.lists(st.tuples(st.sampled_from("XY"), st.integers(0, 2), st.integers(1, 4)), max_size=5)


@pytest.mark.parametrize("learned", ["bio", "bioes"])
@pytest.mark.parametrize("written", ["bio", "bioes", "iob1", "bilou", "ioe2"])
@given(SPANS)
def test_letters_of_another_scheme(learned, written, spans):
    found, end = [], 0
    for kind, gap, length in spans:
        found.append(Entity(kind, end + gap, end + gap + length))
        end += gap + length
    letters = written_letters(learned, written)
    assert (letters is None) == (written == "iob1" or (learned == "bio" and written != "bio"))
    if letters is not None:
        tags = [letters.get(tag[0], tag[0]) + tag[1:] for tag in tags_of(found, end, learned)]
        assert tags == tags_of(found, end, written)
