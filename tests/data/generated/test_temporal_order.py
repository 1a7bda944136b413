"""Temporal order, against its definition symbol by symbol."""

from collections import Counter

import pytest
import torch

from gatewise.data.generated.temporal_order import temporal_order

CLASSES = {
    2: ["XX", "XY", "YX", "YY"],
    3: ["XXX", "XXY", "XYX", "XYY", "YXX", "YXY", "YYX", "YYY"],
}
POSITIONS = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}


@pytest.mark.parametrize("symbols", [2, 3])
def test_follows_hochreiter_schmidhuber(symbols: int) -> None:
    drawn = temporal_order(2000, 100, symbols=symbols, generator=torch.Generator().manual_seed(1))
    assert drawn.lengths is not None
    assert set(drawn.lengths.tolist()) == set(range(100, 111))
    classes: Counter[int] = Counter()
    positions: list[set[int]] = [set() for _ in range(symbols)]
    noise: Counter[str] = Counter()
    for row, own in enumerate(drawn.lengths.tolist()):
        steps = drawn.inputs[:own, row].tolist()
        assert all(sorted(step) == [0] * 7 + [1] for step in steps)
        text = "".join("EBabcdXY"[step.index(1)] for step in steps)
        assert text[0] == "E"
        assert text[-1] == "B"
        relevant = [(position, symbol) for position, symbol in enumerate(text) if symbol in "XY"]
        assert len(relevant) == symbols
        for location, (position, _), (low, high) in zip(positions, relevant, POSITIONS[symbols], strict=True):
            assert low <= position <= high
            location.add(position)
        noise.update(symbol for position, symbol in enumerate(text) if symbol not in "XY" and 0 < position < own - 1)
        order = "".join(symbol for _, symbol in relevant)
        assert int(drawn.targets[row]) == CLASSES[symbols].index(order)
        classes[int(drawn.targets[row])] += 1
    assert all(
        location == set(range(low, high + 1))
        for location, (low, high) in zip(positions, POSITIONS[symbols], strict=True)
    )
    assert set(noise) == set("abcd")
    assert all(count / noise.total() == pytest.approx(0.25, abs=0.01) for count in noise.values())
    expected = 2000 / 2**symbols
    assert all(abs(classes[one] - expected) < 5 * expected**0.5 for one in range(2**symbols))


@pytest.mark.parametrize("length", [10, 15, 37])
def test_short_sequences_have_all_relevant_symbols(length: int) -> None:
    for symbols in (2, 3):
        drawn = temporal_order(500, length, symbols=symbols, generator=torch.Generator().manual_seed(2))
        assert (drawn.inputs[..., 6:].sum((0, 2)) == symbols).all()


def test_other_numbers_of_symbols_are_rejected() -> None:
    with pytest.raises(ValueError, match="symbols: expected 2 or 3, got 4"):
        temporal_order(1, 100, symbols=4, generator=torch.Generator())
