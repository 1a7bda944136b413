"""Sampling filters against brute force."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from gatewise.tasks.sampling import check_sampling, sampling_probabilities

scores = st.lists(st.floats(-8, 8), min_size=1, max_size=12, unique=True)


def brute_force(logits, temperature, top_k, top_p):
    weights = [math.exp(value / temperature) for value in logits]
    order = sorted(range(len(logits)), key=lambda token: -logits[token])
    if top_k is not None:
        order = order[:top_k]
    total = sum(weights[token] for token in order)
    if top_p is not None:
        for kept in range(1, len(order) + 1):
            if sum(weights[token] for token in order[:kept]) / total >= top_p:
                order = order[:kept]
                break
    total = sum(weights[token] for token in order)
    return [weights[token] / total if token in order else 0.0 for token in range(len(logits))]


@given(
    scores,
    st.floats(0.2, 5),
    st.none() | st.integers(1, 15),
    # Away from sums that rounding could put on either side.
    st.none() | st.floats(0.01, 0.99).map(lambda share: share + math.pi * 1e-9),
)
def test_filters_equal_brute_force(logits, temperature, top_k, top_p):
    found = sampling_probabilities(torch.tensor(logits, dtype=torch.float64), temperature, top_k, top_p)
    expected = torch.tensor(brute_force(logits, temperature, top_k, top_p), dtype=torch.float64)
    assert_close(found, expected, rtol=1e-9, atol=1e-12)


@given(scores)
def test_temperature_zero_takes_the_most_likely(logits):
    found = sampling_probabilities(torch.tensor(logits, dtype=torch.float64), 0)
    assert found.tolist() == [float(value == max(logits)) for value in logits]


@pytest.mark.parametrize("temperature", [5e-324, 1e-320, 1e-300])
def test_the_smallest_temperatures_take_the_most_likely_too(temperature):
    found = sampling_probabilities(torch.tensor([3.0, float("-inf"), 5.0, -1e300, 5.0]), temperature)
    assert found.tolist() == [0, 0, 0.5, 0, 0.5]


def test_top_p_1_keeps_everything():
    logits = torch.tensor([0.0, -30.0])
    assert_close(sampling_probabilities(logits, top_p=1.0), logits.double().softmax(0))


def test_a_dropped_score_stays_dropped():
    found = sampling_probabilities(torch.tensor([float("-inf"), 0.0, 0.0]), 0.5, top_k=3, top_p=1.0)
    assert found.tolist() == [0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((0, 3, None), "top_k: has no effect: temperature 0 takes the most likely token"),
        ((0, None, 0.3), "top_p: has no effect: temperature 0 takes the most likely token"),
        ((-0.1, None, None), "temperature: expected a number at least 0, got -0.1"),
        ((float("nan"), None, None), "temperature: expected a number at least 0, got nan"),
        ((float("inf"), None, None), "temperature: expected a number at least 0, got inf"),
        ((1.0, 0, None), "top_k: expected a number at least 1, got 0"),
        ((1.0, None, 0.0), "top_p: expected a number above 0 and at most 1, got 0.0"),
        ((1.0, None, 1.5), "top_p: expected a number above 0 and at most 1, got 1.5"),
        ((1.0, None, None, 2**63), "seed: expected a number from -2**63 to 2**63 - 1, got 9223372036854775808"),
    ],
)
def test_options_out_of_bounds(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_sampling(*options)
