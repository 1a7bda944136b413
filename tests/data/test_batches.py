"""Batches of sequences of similar length."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.batches import Batch, RaggedBatches, padded

LENGTHS = st.lists(st.integers(0, 50), min_size=1, max_size=300)


@given(LENGTHS, st.integers(1, 9), st.none() | st.integers(0, 5))
def test_every_sequence_comes_once_a_pass(lengths, size, seed):
    batches = RaggedBatches(lengths, list, size, seed=seed)
    for _ in range(2):
        found = list(batches)
        assert len(found) == len(batches)
        assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 9), st.integers(0, 1000))
def test_a_pass_resumes_where_it_was_saved(lengths, size, position):
    whole = RaggedBatches(lengths, list, size, seed=3)
    expected = list(whole) + list(whole) + list(whole)
    position %= len(expected)
    running = RaggedBatches(lengths, list, size, seed=3)
    found: list[list[int]] = []
    state = running.state_dict()
    while len(found) < position:
        for batch in running:
            found.append(batch)
            state = running.state_dict()
            if len(found) == position:
                break
    again = RaggedBatches(lengths, list, size, seed=3)
    again.load_state_dict(state)
    while len(found) < len(expected):
        found += list(again)
    assert found == expected


def test_a_batch_has_similar_lengths_and_the_order_changes():
    lengths = torch.randint(1, 100, (1000,), generator=torch.Generator().manual_seed(0)).tolist()
    batches = RaggedBatches(lengths, list, 10, seed=0)
    first, second = list(batches), list(batches)
    spread = [max(lengths[p] for p in batch) - min(lengths[p] for p in batch) for batch in first]
    assert sum(spread) / len(spread) < 5
    assert first != second
    assert list(RaggedBatches(lengths, list, 10, seed=1)) != first
    means = [sum(lengths[p] for p in batch) for batch in first]
    assert means != sorted(means)


def test_no_sequence_makes_no_batch():
    assert list(RaggedBatches([], list, 3)) == list(RaggedBatches([], list, 3, seed=0)) == []


def test_nothing_is_padded_to_one_step():
    assert padded([torch.empty(0), torch.empty(0)], 7).tolist() == [[7, 7]]
    assert padded([torch.ones(2, 3), torch.ones(1, 3)]).shape == (2, 2, 3)


@given(LENGTHS, st.integers(1, 200), st.none() | st.integers(0, 5))
def test_batches_of_a_number_of_steps(lengths, steps, seed):
    batches = RaggedBatches(lengths, list, steps=steps, seed=seed)
    for _ in range(2):
        found = list(batches)
        assert len(found) == len(batches)
        assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
        for batch in found:
            assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= steps


def test_batches_of_a_number_of_steps_change_from_pass_to_pass():
    batches = RaggedBatches([5] * 100, list, steps=50, seed=0)
    first, second = list(batches), list(batches)
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 12))
def test_a_sample_is_some_of_the_batches_from_all_lengths_and_moves_nothing(lengths, size, count):
    batches = RaggedBatches(lengths, list, size)
    whole = list(batches)
    next(iter(batches))
    before = batches.state_dict()
    found = list(batches.sample(count))
    assert batches.state_dict() == before
    assert len(found) == min(count, len(whole))
    positions = [whole.index(batch) for batch in found]
    assert positions == sorted(set(positions))
    width = len(whole) / len(found)
    assert all(part * width - 1 < index < (part + 1) * width for part, index in enumerate(positions))


PARTS = st.integers(1, 5)
CUTS = st.sampled_from([{"size": 1}, {"size": 4}, {"steps": 60}])


@given(LENGTHS, CUTS, PARTS, st.none() | st.integers(0, 5))
def test_parts_share_every_batch(lengths, cut, parts, seed):
    whole = RaggedBatches(lengths, list, **cut, seed=seed)
    shares = [whole.share(part, parts) for part in range(parts)]
    assert {len(share) for share in shares} == {len(whole)}
    assert shares[0].most_steps >= max(
        len(batch) * max(lengths[index] for index in batch) for batch in whole.share(0, parts)
    )
    for _ in range(2):
        for batch, *found in zip(whole, *shares, strict=True):
            rows = [[] if isinstance(rows, Batch) else rows for rows in found]
            assert sorted(index for some in rows for index in some) == sorted(batch)
            assert max(map(len, rows)) - min(map(len, rows)) <= 1


@given(LENGTHS, CUTS, PARTS)
def test_parts_deal_out_batches_as_they_are(lengths, cut, parts):
    whole = RaggedBatches(lengths, list, **cut)
    hands = [whole.deal(part, parts) for part in range(parts)]
    assert len({len(hand) for hand in hands}) == 1
    dealt = [batch for hand in hands for batch in hand if not isinstance(batch, Batch)]
    assert sorted(dealt) == sorted(whole)
    assert not isinstance(next(iter(hands[0])), Batch)


def test_a_share_resumes_where_it_was_saved():
    lengths = list(range(20))
    batches, again = (RaggedBatches(lengths, list, 4, seed=1).share(1, 2) for _ in range(2))
    walk = iter(batches)
    before = [next(walk), next(walk)]
    again.load_state_dict(batches.state_dict())
    assert list(again) == list(walk)
    assert len(before) == 2
