"""Streams: every prediction once, in order, whatever the sizes; the position can be saved."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.data.streams import NO_TARGET, Streams

sizes = {"count": st.integers(2, 300), "streams": st.integers(1, 12), "window": st.integers(1, 20)}


@given(**sizes)
def test_every_token_but_the_first_is_predicted_once_from_the_one_before(count, streams, window):
    windows = list(Streams(torch.arange(count), streams, window))
    inputs = torch.cat([window.inputs for window in windows])
    targets = torch.cat([window.targets for window in windows])
    real = targets != NO_TARGET
    assert sorted(targets[real].tolist()) == list(range(1, count))
    assert (targets[real] == inputs[real] + 1).all()


@given(**sizes)
def test_streams_are_contiguous_and_as_even_as_can_be(count, streams, window):
    windows = list(Streams(torch.arange(count), streams, window))
    targets = torch.cat([window.targets for window in windows])
    lengths = (targets != NO_TARGET).sum(0)
    assert lengths.max() - lengths.min() <= 1
    for stream, length in zip(targets.T, lengths.tolist(), strict=True):
        assert (stream[:length].diff() == 1).all()
        assert (stream[length:] == NO_TARGET).all()


@given(**sizes)
def test_windows_have_the_asked_length_but_the_last(count, streams, window):
    whole = Streams(torch.arange(count), streams, window)
    lengths = [len(part.inputs) for part in whole]
    assert len(lengths) == len(whole)
    assert set(lengths[:-1]) <= {window}
    assert 1 <= lengths[-1] <= window
    assert sum(lengths) == whole.steps
    assert all(part.inputs.shape == part.targets.shape == (len(part.inputs), streams) for part in whole)


@given(**sizes, position=st.integers(0, 400))
def test_a_pass_resumes_from_a_saved_position(count, streams, window, position):
    def numbers(windows):
        return [part.targets.tolist() for part in windows]

    first = Streams(torch.arange(count), streams, window)
    everything = numbers(first)
    position %= len(first)
    iterator = iter(first)
    for _ in range(position):
        next(iterator)
    state = first.state_dict()
    second = Streams(torch.arange(count), streams, window)
    second.load_state_dict(state)
    assert numbers(second) == everything[position:]
    assert numbers(second) == everything


def test_a_sample_is_the_beginning_and_moves_nothing():
    streams = Streams(torch.arange(30), streams=2, window=3)
    whole = list(streams)
    next(iter(streams))
    before = streams.state_dict()
    found = list(streams.sample(2))
    assert streams.state_dict() == before
    assert all(torch.equal(one.inputs, other.inputs) for one, other in zip(found, whole[:2], strict=True))
    assert len(list(streams.sample(99))) == len(whole)


@given(**sizes, parts=st.integers(1, 4))
def test_parts_share_the_streams(count, streams, window, parts):
    streams = max(streams, parts)
    whole = Streams(torch.arange(count), streams, window)
    shares = [whole.share(part, parts) for part in range(parts)]
    for one, *found in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat([part.inputs for part in found], 1), one.inputs)
        assert torch.equal(torch.cat([part.targets for part in found], 1), one.targets)
        assert all(part.inputs.shape[1] for part in found)


def test_every_part_needs_a_stream():
    with pytest.raises(ValueError, match="batch: 2 streams cannot be shared by 3 processes"):
        Streams(torch.arange(9), 2, 3).share(0, 3)


@given(**sizes, windows=st.integers(1, 9), epochs=st.integers(1, 4), stop=st.integers(0, 30))
def test_short_epochs_continue_where_the_last_one_ended(count, streams, window, windows, epochs, stop):
    whole = [part.targets.tolist() for part in Streams(torch.arange(count), streams, window)]
    expected = [whole[number % len(whole)] for number in range(windows * epochs)]
    short = Streams(torch.arange(count), streams, window, windows)
    assert len(short) == windows
    assert short.windows_of_pass == len(whole)
    found = []
    for _ in range(epochs):
        for part in short:
            found.append(part.targets.tolist())
            if len(found) == stop:  # as if the process had ended here
                state, short = short.state_dict(), Streams(torch.arange(count), streams, window, windows)
                short.load_state_dict(state)
                break
    while len(found) < windows * epochs:
        found += [part.targets.tolist() for part in short]
    assert found == expected
