"""How calls are shared out: never more threads than there are, never a share of nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.kernels.cpu import split
from gatewise.kernels.cpu.split import registers_per_output


@given(
    rows=st.integers(1, 500),
    hidden=st.integers(1, 2000),
    steps=st.integers(1, 1000),
    blocks=st.integers(0, 8),
    directions=st.integers(1, 2),
    threads=st.integers(1, 64),
)
def test_every_slice_has_something_to_do(
    rows: int, hidden: int, steps: int, blocks: int, directions: int, threads: int
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "threads", lambda: threads)
        shared = split.split(rows, hidden, steps, blocks, directions)
    assert 1 <= shared.slices <= max(1, threads // directions)
    if not shared.units:
        assert shared.slices <= rows
    if shared.slices == 1:
        assert not shared.units


@given(
    rows=st.integers(1, 100),
    outputs=st.integers(1, 4),
    hidden=st.integers(1, 1000),
    lanes=st.sampled_from([2, 4, 8, 16]),
    slices=st.integers(1, 16),
)
def test_strips_fit_the_tile(rows: int, outputs: int, hidden: int, lanes: int, slices: int):
    blocks = registers_per_output(rows, outputs, hidden, lanes, slices)
    assert blocks >= 1
    assert blocks * outputs <= 8
    # No strip is empty, and where units are shared out each thread has one if there are so many.
    assert blocks == 1 or (blocks // 2) * lanes < hidden
    strips = -(-hidden // (blocks * lanes))
    assert strips >= min(slices, -(-hidden // lanes))


def test_threads_are_torchs_but_no_more_than_may_run(monkeypatch: pytest.MonkeyPatch):
    for function, of in (("_affinity", 3), ("_quota", 5)):
        monkeypatch.setattr(split, function, lambda of=of: of)
    for asked, expected in ((1, 1), (3, 3), (4, 3)):
        monkeypatch.setattr(torch, "get_num_threads", lambda asked=asked: asked)
        assert split.threads() == expected
    monkeypatch.setattr(split, "_quota", lambda: 2)
    assert split.threads() == 2
    monkeypatch.setattr(split, "_forked", True)
    told: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    split._leave_the_pool_alone.cache_clear()
    assert split.threads() == split.threads() == 1
    assert told == [1]  # once: whoever asks for more later shall have them


def test_without_a_quota(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(split, "quota", lambda: None)
    monkeypatch.setattr(split.os, "cpu_count", lambda: 12)
    assert split._quota.__wrapped__() == 12


@pytest.mark.parametrize(
    ("rows", "hidden", "expected"),
    [
        (1, 64, split.Split(1, False)),  # less work in a step than a barrier costs
        (1, 512, split.Split(2, True)),  # one row: each thread reads half of the weights
        (16, 256, split.Split(2, False)),  # weights that each thread keeps in its own cache
        (16, 1024, split.Split(2, True)),  # weights that it does not, for few rows
        (64, 512, split.Split(2, False)),  # many rows use each weight often
        (6, 64, split.Split(2, False)),
    ],
)
def test_rows_or_units_are_shared_out(rows: int, hidden: int, expected: split.Split, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(split, "threads", lambda: 2)
    assert split.split(rows, hidden, 100, 4, 1) == expected
