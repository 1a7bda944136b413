"""How far steps of optimisers move parameters."""

import pytest
import torch
from torch.testing import assert_close

from gatewise.kernels.cpu import update_norms as cpu
from gatewise.kernels.update_norms import change_norms


@pytest.fixture(params=["engine", "torch"])
def computed_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "torch":
        monkeypatch.setattr(cpu, "change_norms", lambda gradients, after, before: None)


@pytest.mark.usefixtures("computed_by")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("width", "threads"), [(31, 1), (3000, 1), (3000, 2), (3000, 3)])
def test_norms_of_changes(dtype: torch.dtype, width: int, threads: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cpu, "threads", lambda: threads)
    shapes = [(width, 33), (33,), (), (2, 0), (5, 7)]
    gradients, before = ([torch.randn(shape, dtype=dtype) for shape in shapes] for _ in range(2))
    after = [one + 1e-3 * torch.randn_like(one) for one in before]
    norms = change_norms(gradients, after, before)
    assert norms.dtype == dtype
    changes = [new.double() - old.double() for new, old in zip(after, before, strict=True)]
    for found, values in zip(norms, (gradients, changes, before), strict=True):
        expected = torch.stack([torch.linalg.vector_norm(one.double()) for one in values])
        # Torch subtracts in single precision, where numbers that are near lose digits.
        assert_close(found.double(), expected, rtol=1e-4 if dtype == torch.float32 else 1e-12, atol=0)


def test_the_engine_loses_no_squares():
    scales = torch.tensor([1e-42, 1e-30, 1e30])
    before = [scale * torch.tensor([3.0, 4.0]) for scale in scales]
    found = cpu.change_norms(before, [2 * one for one in before], before)
    assert found is not None
    assert_close(found, (5 * scales).expand(3, 3), rtol=1e-3, atol=0)  # a denormal number has few digits


@pytest.mark.parametrize(
    "other",
    [
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(2, dtype=torch.float64),
        torch.ones(4)[::2],
        torch.ones(2, device="meta"),
        torch.sparse_coo_tensor(torch.tensor([[0]]), torch.tensor([1.0]), (2,), check_invariants=True),
    ],
    ids=["bfloat16", "float64", "apart", "meta", "sparse"],
)
def test_what_the_engine_cannot_read_it_leaves(other: torch.Tensor):
    one = torch.ones(2)
    for position in range(3):
        tensors = [[one, one] for _ in range(3)]
        tensors[position][1] = other
        assert cpu.change_norms(*tensors) is None


def test_tensors_of_mixed_kinds():
    before = [torch.ones(3, 2), torch.ones(4, dtype=torch.bfloat16), torch.ones(2, dtype=torch.float64)]
    index, rows = torch.tensor([[1, 1]]), torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    gradients = [torch.sparse_coo_tensor(index, rows, (3, 2), check_invariants=True), 2 * before[1], before[2]]
    after = [2 * before[0], 3 * before[1], before[2]]
    expected = [[5, 4, 2**0.5], [6**0.5, 4, 0], [6**0.5, 2, 2**0.5]]
    assert_close(change_norms(gradients, after, before), torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)
