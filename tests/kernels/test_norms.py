"""Norms of rows."""

import pytest
import torch
from torch.testing import assert_close

from gatewise.kernels.norms import row_norms


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_where_squares_leave_the_range_of_numbers(dtype: torch.dtype):
    scales = torch.tensor([1.0, 1e-30, 1e30, 0.0], dtype=dtype)
    rows = scales[:, None] * torch.tensor([3.0, 0.0, 4.0], dtype=dtype)
    assert_close(row_norms(rows), 5 * scales, rtol=1e-6, atol=0)


def test_values_that_are_not_finite_stay_so():
    norms = row_norms(torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0], [torch.nan, torch.inf], [3.0, 4.0]]))
    assert norms.isfinite().tolist() == [False, False, False, True]
    assert norms[0].isnan()
    assert norms[1].isinf()


def test_no_rows():
    assert row_norms(torch.zeros(0, 3)).shape == (0,)
