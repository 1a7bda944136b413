"""Words and punctuation marks as tokens."""

import pytest

from gatewise.data.tokens import TokenVocabulary, split_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \n", []),
        ("I can't; they're Ann's.", ["I", "ca", "n't", ";", "they", "'re", "Ann", "'s", "."]),
        ("naïve café’s 3%", ["naïve", "café", "’s", "3", "%"]),
        ("isn't", ["is", "n't"]),
    ],
)
def test_texts_are_split(text, tokens):
    assert split_tokens(text) == tokens


ROWS = [["The", "cat", "1", "the"], ["cat", "99", "<unk>", "dog"]]


def test_the_most_frequent_come_first_and_the_rest_is_unknown():
    vocabulary = TokenVocabulary.learn(ROWS, lower=True, digits=True)
    assert vocabulary.tokens == ["<unk>", "cat", "the", "0", "00", "dog"]
    assert vocabulary.counts == [0, 2, 2, 1, 1, 1]
    assert vocabulary.encode_tokens(["THE", "7", "bird"]).tolist() == [2, 3, 0]
    assert TokenVocabulary.learn(ROWS).tokens == ["<unk>", "cat", "1", "99", "The", "dog", "the"]


def test_rare_tokens_and_a_size_leave_some_out():
    assert TokenVocabulary.learn(ROWS, min_count=2, lower=True).tokens == ["<unk>", "cat", "the"]
    smaller = TokenVocabulary.learn(ROWS, 2)
    assert (smaller.tokens, smaller.counts) == (["<unk>", "cat"], [0, 2])
    with pytest.raises(ValueError, match="there is no token that occurs 9 times in the data to learn from"):
        TokenVocabulary.learn(ROWS, min_count=9)


def test_a_text_is_its_tokens():
    vocabulary = TokenVocabulary.learn([["do", "n't", "stop", "!"]])
    assert vocabulary.decode(vocabulary.encode("don't stop!").tolist()) == "do n't stop !"
