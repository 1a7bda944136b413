"""Weights dropped for a call: the same bits by the engine and in torch's operations, their rate and their gradients."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from gatewise.kernels import operators, weight_drop
from gatewise.kernels.weight_drop import MatrixMask, dropped, followed, product
from tests.combinations import combinations
from tests.kernels.cpu.workspaces import full_of_nan
from tests.kernels.engine import needs_engine


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    before = torch.get_num_threads()
    monkeypatch.setattr(weight_drop, "WORTH_SHARING", 0)
    monkeypatch.setattr(weight_drop, "threads", lambda: request.param)
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def mask_of(p: float = 0.4, seed: int = 2**62 + 5, stream: int = 3, step: int = 7, name: str = "R") -> MatrixMask:
    return MatrixMask(torch.tensor(seed), stream, step, name, p)


def matrix_of(rows: int, columns: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(rows, columns, dtype=dtype)


@needs_engine
@pytest.mark.usefixtures("threads")
@combinations(
    {
        "dtype": [torch.float32, torch.float64],
        "shape": [(1, 3), (2, 15), (5, 17), (70, 64), (31, 129), (300, 600)],
        "p": [1e-9, 0.3, 0.999, 1.0],
    }
)
def test_the_engine_drops_the_same_weights(dtype: torch.dtype, shape: tuple[int, int], p: float):
    matrix = matrix_of(*shape, dtype)
    with full_of_nan():
        assert torch.equal(product(matrix, mask_of(p)), followed(matrix, mask_of(p)))


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1])
@pytest.mark.parametrize("step", [0, 2**32 + 1])
def test_numbers_of_all_bits(seed: int, step: int):
    matrix, mask = matrix_of(9, 80), mask_of(seed=seed, step=step)
    assert torch.equal(product(matrix, mask), followed(matrix, mask))
    assert torch.equal(product(matrix, mask), product(matrix, mask._replace(step=step % 2**32)))
    for other in (mask_of(seed=5), mask._replace(stream=4), mask._replace(step=2), mask._replace(name="U")):
        assert not torch.equal(product(matrix, other), product(matrix, mask))


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_weights_are_dropped_independently_at_the_rate(p: float):
    found = product(torch.ones(401, 1001, dtype=torch.float64), mask_of(p))
    kept = (found != 0).double()
    assert found.unique().tolist() == [0.0, 1 / (1 - p)]
    tolerance = 5 * (p * (1 - p) / 400_000) ** 0.5  # five deviations of the mean
    assert kept.mean().item() == pytest.approx(1 - p, abs=tolerance)
    neighbours = [(kept[1:], kept[:-1]), (kept[:, 1:], kept[:, :-1]), (kept[:, 16:], kept[:, :-16])]
    for first, second in (*neighbours, (kept[:, 64:], kept[:, :-64])):
        assert (first * second).mean().item() == pytest.approx((1 - p) ** 2, abs=2 * tolerance)


@pytest.mark.parametrize("shape", [(3, 5), (70, 64)])
def test_the_gradient_has_the_mask(shape: tuple[int, int]):
    matrix, upstream = matrix_of(*shape).requires_grad_(), matrix_of(*shape)
    expected = followed(upstream, mask_of())
    for function in (dropped, followed, operators.dropped):
        (gradient,) = torch.autograd.grad(function(matrix, mask_of()), matrix, upstream)
        assert torch.equal(gradient, expected)
        (batch,) = torch.autograd.grad(
            function(matrix, mask_of()), matrix, upstream.expand(2, *shape), is_grads_batched=True
        )
        assert torch.equal(batch, expected.expand(2, *shape))


@pytest.mark.parametrize("function", [dropped, operators.dropped])
def test_derivatives_are_slopes(function: object):
    def curved(matrix: Tensor) -> Tensor:
        return function(matrix.square(), mask_of()).square()  # type: ignore[operator]

    matrix = matrix_of(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(curved, matrix)
    assert torch.autograd.gradgradcheck(curved, matrix)


def test_layouts_that_are_not_dense():
    matrix = matrix_of(20, 12)
    expected = followed(matrix, mask_of())
    for same in (matrix.t().contiguous().t(), torch._neg_view(-matrix), torch.cat([matrix, matrix], dim=1)[:, :12]):
        assert torch.equal(product(same, mask_of()), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_dtypes_drop_the_same_weights(dtype: torch.dtype):
    matrix = torch.ones(20, 12)
    assert torch.equal(product(matrix.to(dtype), mask_of(0.5)).float(), product(matrix, mask_of(0.5)))


def test_the_operator():
    matrix = matrix_of(3, 4).requires_grad_()
    arguments = (matrix, *mask_of())
    torch.library.opcheck(torch.ops.gatewise.dropped_weight.default, arguments)
    assert torch.equal(operators.dropped(matrix, mask_of()), followed(matrix, mask_of()))
    assert operators.dropped(matrix.to("meta"), mask_of()).shape == (3, 4)
