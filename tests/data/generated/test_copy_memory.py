"""Copy memory, against its definition symbol by symbol."""

import math

import pytest
import torch

from gatewise.data.generated.copy_memory import copy_memory, memoryless_loss


@pytest.mark.parametrize(("gap", "recall"), [(1, 10), (5, 10), (20, 3), (2, 1)])
def test_follows_arjovsky(gap: int, recall: int) -> None:
    drawn = copy_memory(400, gap, recall=recall, generator=torch.Generator().manual_seed(1))
    assert drawn.inputs.shape == (gap + 2 * recall, 400, 10)
    first: list[int] = []
    for row in range(400):
        steps = drawn.inputs[:, row].tolist()
        assert all(sorted(step) == [0] * 9 + [1] for step in steps)
        read = [step.index(1) for step in steps]
        symbols = read[:recall]
        assert all(0 <= symbol < 8 for symbol in symbols)
        assert read[recall:] == [8] * (gap - 1) + [9] + [8] * recall
        assert drawn.targets[:, row].tolist() == [8] * (gap + recall) + symbols
        first += symbols
    assert all(first.count(symbol) / len(first) == pytest.approx(1 / 8, abs=0.06) for symbol in range(8))


def test_loss_without_memory() -> None:
    # A network that knows the place but not the symbol: blanks for sure, eight symbols equally likely.
    drawn = copy_memory(4, 30, generator=torch.Generator().manual_seed(1))
    total = sum(0.0 if target == 8 else math.log(8) for target in drawn.targets.flatten().tolist())
    assert memoryless_loss(30) == pytest.approx(total / drawn.targets.numel())
    assert memoryless_loss(1000) == pytest.approx(0.0204, abs=5e-5)
