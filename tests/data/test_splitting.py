"""Examples that are held out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.splitting import split_at_random


@given(st.integers(4, 200), st.floats(0.2, 0.8), st.integers(0, 5))
def test_both_parts_are_the_whole(count, share, seed):
    parts = split_at_random(range(count), share, seed)
    assert sorted(parts[0] + parts[1]) == list(range(count))
    assert len(parts[1]) == round(count * share)
    assert parts == split_at_random(range(count), share, seed)


@pytest.mark.parametrize(("count", "told"), [(3, "0; nothing is left to score"), (0, "0; nothing is left to score")])
def test_too_few(count, told):
    with pytest.raises(ValueError, match=re.escape(f"held_out: 0.1 of {count} examples is {told}")):
        split_at_random(range(count), 0.1)
    with pytest.raises(ValueError, match="nothing is left to learn from"):
        split_at_random([1], 0.9)
