"""Norms of rows, and of what optimisers do."""

import pytest
import torch
from torch.testing import assert_close

from gatewise.kernels.cpu import norms as cpu
from gatewise.kernels.norms import change_norms, norms_and_largest, row_norms


@pytest.fixture(params=["engine", "torch"])
def computed_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torch":
        monkeypatch.setattr(cpu, "can_take_norms", lambda *values: False)


@pytest.mark.usefixtures("computed_by")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_where_squares_leave_the_range_of_numbers(dtype: torch.dtype):
    scales = torch.tensor([1.0, 1e-30, 1e-42, 1e30, 0.0], dtype=dtype)
    rows = scales[:, None] * torch.tensor([3.0, 0.0, 4.0], dtype=dtype)
    assert_close(row_norms(rows)[[0, 1, 3, 4]], 5 * scales[[0, 1, 3, 4]], rtol=1e-6, atol=0)
    assert_close(row_norms(rows)[2], 5 * scales[2], rtol=1e-3, atol=0)  # a denormal number has few digits


@pytest.mark.usefixtures("computed_by")
def test_values_that_are_not_finite_stay_so():
    rows = torch.tensor([[torch.nan, 1.0], [torch.inf, 1.0], [torch.nan, torch.inf], [3.0, 4.0]])
    norms, largest = norms_and_largest(rows)
    assert norms.isfinite().tolist() == [False, False, False, True]
    assert norms[0].isnan()
    assert norms[1].isinf()
    assert largest != largest
    assert norms_and_largest(rows[1:2])[1] == torch.inf
    assert norms_and_largest(rows[3:])[1] == 5


@pytest.mark.usefixtures("computed_by")
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(7, 2, 33), (1, 1), (5, 100), (4099, 64)])
def test_norms_of_rows(shape: tuple[int, ...], threads: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cpu, "threads", lambda: threads)
    rows = torch.randn(shape)
    expected = torch.linalg.vector_norm(rows.double(), dim=-1)
    norms, largest = norms_and_largest(rows)
    assert_close(norms.double(), expected, rtol=2e-6, atol=0)
    assert largest == norms.max()
    # Rows that do not stand one after the other, too.
    expected = torch.linalg.vector_norm(rows.double().transpose(0, -1), dim=-1)
    assert_close(row_norms(rows.transpose(0, -1)).double(), expected, rtol=1e-5, atol=0)


@pytest.mark.usefixtures("computed_by")
def test_no_rows():
    assert row_norms(torch.zeros(0, 3)).shape == (0,)


@pytest.mark.usefixtures("computed_by")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [31, 3000])
def test_norms_of_changes(dtype: torch.dtype, width: int):
    shapes = [(width, 33), (33,), (), (2, 0)]
    gradients, before = ([torch.randn(shape, dtype=dtype) for shape in shapes] for _ in range(2))
    after = [one + 1e-3 * torch.randn_like(one) for one in before]
    norms = change_norms(gradients, after, before)
    assert norms.dtype == dtype
    changes = [new.double() - old.double() for new, old in zip(after, before, strict=True)]
    for found, values in zip(norms, (gradients, changes, before), strict=True):
        expected = torch.stack([torch.linalg.vector_norm(one.double()) for one in values])
        # A difference of single precision has lost a bit of its digits where the values are near.
        assert_close(found.double(), expected, rtol=1e-4 if dtype == torch.float32 else 1e-12, atol=0)


def test_norms_of_changes_of_mixed_kinds():
    before = [torch.ones(3, 2), torch.ones(4, dtype=torch.bfloat16), torch.ones(2, dtype=torch.float64)]
    index, rows = torch.tensor([[1, 1]]), torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    gradients = [torch.sparse_coo_tensor(index, rows, (3, 2), check_invariants=True), 2 * before[1], before[2]]
    after = [2 * before[0], 3 * before[1], before[2]]
    expected = [[5, 4, 2**0.5], [6**0.5, 4, 0], [6**0.5, 2, 2**0.5]]
    assert_close(change_norms(gradients, after, before), torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)
