"""Adding, against its definition step by step."""

from collections import Counter

import pytest
import torch

from gatewise.data.generated.adding import adding, adding_right, adding_sum


@pytest.mark.parametrize("length", [10, 11, 19, 20, 57, 100])
def test_follows_hochreiter_schmidhuber(length: int) -> None:
    drawn = adding(3000, length, generator=torch.Generator().manual_seed(1))
    assert drawn.lengths is not None
    lengths = drawn.lengths.tolist()
    assert set(lengths) == set(range(length, length + length // 10 + 1))
    positions: Counter[int] = Counter()
    for row, own in enumerate(lengths):
        steps = drawn.inputs[:own, row].tolist()
        assert all(-1 <= value <= 1 for value, _ in steps)
        assert steps[0][1] == steps[-1][1] == -1
        marked = [index for index, (_, marker) in enumerate(steps) if marker == 1]
        assert all(marker == 0 for index, (_, marker) in enumerate(steps) if index not in (0, own - 1, *marked))
        # With one mark alone, the other is on the first step, where the value counts as 0.
        assert len(marked) in (1, 2)
        both = marked if len(marked) == 2 else [0, *marked]
        # One of the two is among the first ten steps, the other among the first T/2 - 1 that remain.
        unmarked = {one: [index for index in range(own) if index != one][: length // 2 - 1] for one in both}
        assert any(one < 10 and other in unmarked[one] for one, other in (both, both[::-1]))
        positions.update(marked)
        expected = 0.5 + sum(steps[index][0] for index in marked) / 4
        assert float(drawn.targets[row]) == pytest.approx(expected, abs=1e-6)
    # Every position that the definition allows is drawn.
    assert set(positions) == set(range(1, max(min(10, length - 1), length // 2)))


def test_marks_are_uniform() -> None:
    drawn = adding(20_000, 100, generator=torch.Generator().manual_seed(2))
    shares = (drawn.inputs[..., 1] == 1).float().mean(1)
    # In the first ten: 1/10 for the first mark, and 9/10 times 1/49 for the second. Beyond: 1/49.
    assert torch.allclose(shares[1:10], torch.full((9,), 0.1 + 0.9 / 49), atol=0.01)
    assert torch.allclose(shares[10:50], torch.full((40,), 1 / 49), atol=0.005)
    assert not shares[50:].any()
    values = drawn.inputs[:100, :, 0]
    assert float(values.mean()) == pytest.approx(0, abs=0.01)
    assert float(values.var()) == pytest.approx(1 / 3, abs=0.01)


def test_lengths_below_ten_are_rejected() -> None:
    with pytest.raises(ValueError, match="length: expected at least 10, got 9"):
        adding(1, 9, generator=torch.Generator())


@pytest.mark.parametrize("length", [2, 3, 50])
def test_sum_has_one_mark_in_each_half(length: int) -> None:
    drawn = adding_sum(2000, length, generator=torch.Generator().manual_seed(3))
    seen: set[int] = set()
    for row in range(2000):
        steps = drawn.inputs[:, row].tolist()
        marked = [index for index, (_, mark) in enumerate(steps) if mark == 1]
        assert len(steps) == length
        assert len(marked) == 2
        assert marked[0] < length // 2 <= marked[1]
        assert all(mark in (0, 1) and 0 <= value <= 1 for value, mark in steps)
        assert float(drawn.targets[row]) == pytest.approx(sum(steps[index][0] for index in marked), abs=1e-6)
        seen.update(marked)
    assert seen == set(range(length))


def test_answering_one_to_the_sum_errs_by_a_sixth() -> None:
    drawn = adding_sum(50_000, 4, generator=torch.Generator().manual_seed(4))
    assert float((drawn.targets - 1).square().mean()) == pytest.approx(1 / 6, abs=0.005)


def test_right_is_an_error_below_four_hundredths() -> None:
    answers, targets = torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0.5, 0.539, 0.461, 0.541])
    assert adding_right(answers, targets).tolist() == [True, True, True, False]
