"""Features of the spelling of words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.word_features import is_word_feature, word_feature


@pytest.mark.parametrize(
    ("word", "caps", "shape"),
    [
        ("rain", "none", "x"),
        ("Rain", "initial", "Xx"),
        ("NATO", "all", "X"),
        ("McDonald", "inside", "XxXx"),
        ("U.S.", "all", "X.X."),
        ("1,999", "no letter", "0,0"),
        ("3rd", "none", "0x"),
        ("-LRB-", "all", "-X-"),
        ("ΑΒ", "all", "X"),
        ("", "no letter", ""),
    ],
)
def test_capitals_and_shapes(word, caps, shape):
    assert (word_feature("caps", word), word_feature("shape", word)) == (caps, shape)


@given(st.text(), st.integers(1, 9))
def test_affixes(word, size):
    assert word_feature(f"prefix{size}", word) == word[:size]
    assert word.endswith(word_feature(f"suffix{size}", word))
    assert len(word_feature(f"suffix{size}", word)) == min(size, len(word))


def test_which_there_are():
    assert all(map(is_word_feature, ("caps", "shape", "prefix1", "suffix9")))
    assert not any(map(is_word_feature, ("", "capitals", "prefix", "suffix10", "suffix0", "infix2", "shape2")))
