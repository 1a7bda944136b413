"""The order of rows and steps, against its definition step by step."""

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.kernels import Directions
from gatewise.kernels.cpu.order import Order, order
from tests.kernels.calls import call_of


def test_nothing_is_reordered_without_need():
    for directions in ("forward", "reverse"):
        assert order(call_of("lstm", directions)) == Order(4, 3, torch.float64, directions == "reverse", 12)
        way = order(call_of("lstm", directions, reset=True))
        assert way.cut is not None
        assert replace(way, cut=None) == Order(4, 3, torch.float64, directions == "reverse", 12)


@given(
    steps=st.integers(1, 6),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    ragged=st.booleans(),
    reset=st.booleans(),
    directions=st.sampled_from(["forward", "reverse"]),
    seed=st.integers(0, 100),
)
def test_by_its_definition(
    steps: int, lengths: list[int], ragged: bool, reset: bool, directions: Directions, seed: int
):
    rows = len(lengths)
    lengths = [min(length, steps) if ragged else steps for length in lengths]
    call = call_of(
        "rnn_tanh", directions, steps=steps, batch=rows, lengths=lengths if ragged else None, reset=reset, seed=seed
    )
    way = order(call)
    sorted_rows = list(range(rows)) if way.row is None else way.row.tolist()
    assert sorted_rows == sorted(range(rows), key=lambda row: -lengths[row])
    by_length = [lengths[row] for row in sorted_rows]
    assert way.places == sum(lengths)
    if way.length is not None:
        assert way.length.tolist() == by_length

    def time(step: int, row: int) -> int:
        """When the caller's row is at a step of its own."""
        return lengths[row] - 1 - step if directions == "reverse" else step

    place = 0
    for step in range(steps):
        active = [row for row in sorted_rows if lengths[row] > step]
        if ragged:
            assert way.at is not None
            assert way.active is not None
            assert way.index is not None
            assert (way.at[step], way.active[step]) == (place, len(active))
            found = way.index[place : place + len(active)].tolist()
            assert found == [time(step, row) * rows + row for row in active]
        place += len(active)
    if not reset:
        assert way.cut is None
        return
    assert call.reset is not None
    assert way.cut is not None
    assert way.cut.is_contiguous()
    for step in range(steps + 1):
        for at, row in enumerate(sorted_rows):
            # Between steps − 1 and step lies the boundary before the later of both times, if it is inside the row.
            boundary = lengths[row] - step if directions == "reverse" else step
            inside = 0 <= boundary < lengths[row]
            assert way.cut[step, at] == (inside and bool(call.reset[boundary, row]))
