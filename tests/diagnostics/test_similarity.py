"""Rows ordered by similarity."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gatewise.diagnostics.similarity import order_by_similarity


def roughness(rows: torch.Tensor) -> float:
    return float((rows[1:] - rows[:-1]).norm(dim=1).sum())


@given(st.integers(0, 30), st.integers(0, 5), st.integers(0, 2**31))
def test_order_is_a_permutation(count: int, width: int, seed: int):
    rows = torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).round()
    order = order_by_similarity(rows)
    assert sorted(order) == list(range(count))
    assert order == order_by_similarity(rows)


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_contiguous(seed: int):
    draw = torch.Generator().manual_seed(seed)
    groups = torch.arange(60) % 4
    rows = 10 * torch.randn(4, 20, generator=draw)[groups] + torch.randn(60, 20, generator=draw)
    order = order_by_similarity(rows)
    assert len(torch.unique_consecutive(groups[order])) == 4


@pytest.mark.parametrize("seed", range(5))
def test_one_dimensional_order_is_recovered(seed: int):
    """Points of a line, shuffled: neighbours are neighbours again, nearly everywhere."""
    shuffled = torch.randperm(100, generator=torch.Generator().manual_seed(seed)).float()[:, None]
    order = order_by_similarity(shuffled)
    assert roughness(shuffled[order]) < 0.1 * roughness(shuffled)


def test_average_linkage_by_hand():
    """0 and 1 meet at 1, 10 and 12 at 2, 5 joins {0, 1} at 4.5 rather than {10, 12} at 6."""
    rows = torch.tensor([[10.0], [0.0], [5.0], [12.0], [1.0]])
    assert order_by_similarity(rows) in ([1, 4, 2, 0, 3], [3, 0, 2, 4, 1])
