import pytest

from gatewise.explanations import explain, topics
from gatewise.explanations.studies import TESTED_BY
from gatewise.studies.registry import studies

WORDS = {study.word for study in studies().values()}


def test_every_study_is_named_by_a_topic_and_every_name_is_a_study() -> None:
    assert {word for words in TESTED_BY.values() for word in words} == WORDS
    assert set(TESTED_BY) < set(topics())


@pytest.mark.parametrize(
    ("topic", "word"), [("gradients", "vanishing"), ("rnn", "clipping"), ("bilstm", "bidirectional"), ("gru", "gru")]
)
def test_pages_end_with_the_commands_that_test_them(topic: str, word: str) -> None:
    _, words = " ".join(explain(topic).split()).split("Put to the test gatewise study NAME ")
    assert word in words.split(": ")[1].removesuffix(".").split(", ")
