"""Rows copied by an index, against torch's own indexing."""

import pytest
import torch

from gatewise.kernels.cpu import placement
from tests.kernels.engine import needs_engine

pytestmark = needs_engine


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("width", [1, 33])
@pytest.mark.parametrize("rows", [1, 7, 5000])
def test_rows_go_where_the_index_says(rows: int, width: int, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(rows)
    order = torch.randperm(2 * rows, generator=generator)
    index, others = order[:rows], order[rows:]
    whole = torch.randn(2 * rows, width + 3, generator=generator, dtype=dtype)[:, 1 : width + 1]
    assert torch.equal(placement.gather(whole, index), whole[index])
    target = whole.clone()
    source = torch.randn(rows, width, generator=generator, dtype=dtype)
    expected = whole.clone()
    expected[index] = source
    placement.scatter(source, target, index)
    assert torch.equal(target, expected)
    expected[others] = 0
    placement.clear(target, others)
    assert torch.equal(target, expected)


def test_what_stands_beside_the_rows_stays():
    whole = torch.ones(6, 5)
    placement.clear(whole[:, 1:3], torch.tensor([0, 5]))
    assert whole.sum() == 26
    assert whole[0].tolist() == whole[5].tolist() == [1, 0, 0, 1, 1]
