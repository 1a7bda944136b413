"""Products of whole matrices: every layout and odd size, and nothing written beside them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatewise.kernels.cpu.products import multiply
from tests.kernels.engine import needs_engine

pytestmark = needs_engine

GUARD = 3  # columns beside, and rows between


@st.composite
def matrices(draw: st.DrawFn, rows: int, columns: int, dtype: torch.dtype, seed: int) -> Tensor:
    """(rows, columns), either dimension dense: whole, a part of a larger one, or one row for all."""
    generator = torch.Generator().manual_seed(seed)

    def made(rows: int, columns: int) -> Tensor:
        match draw(st.integers(0, 3)):
            case 0:
                return torch.randn(rows, columns, generator=generator, dtype=dtype)
            case 1:
                return torch.randn(rows, columns + GUARD, generator=generator, dtype=dtype)[:, 1 : 1 + columns]
            case 2:
                return torch.randn(2 * rows, columns, generator=generator, dtype=dtype)[1::2]
            case _:
                return torch.randn(1, columns, generator=generator, dtype=dtype).expand(rows, columns)

    return made(columns, rows).t() if draw(st.booleans()) else made(rows, columns)


# Around the widths of registers, strips and blocks of rows and depth, and any other.
sizes = st.integers(0, 40) | st.sampled_from([47, 48, 49, 63, 64, 65, 119, 120, 121, 250])
depths = sizes | st.sampled_from([511, 512, 513, 700])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@settings(max_examples=150)
@given(st.data())
def test_as_matmul(dtype: torch.dtype, data: st.DataObject):
    rows, depth, columns = data.draw(sizes), data.draw(depths), data.draw(st.integers(1, 140))
    a = data.draw(matrices(rows, depth, dtype, seed=1))
    b = data.draw(matrices(depth, columns, dtype, seed=2))
    add = data.draw(st.booleans())
    bias = None if add or data.draw(st.booleans()) else torch.randn(columns, dtype=dtype)
    around = torch.randn(rows, columns + 2 * GUARD, dtype=dtype)
    before = around.clone()
    out = around[:, GUARD : GUARD + columns]
    start = out.double() if add else 0 if bias is None else bias.double()
    expected = start + a.double() @ b.double()
    largest = 1 + (a.double().abs() @ b.double().abs()).amax().item() if rows else 1.0
    threads = torch.get_num_threads()
    torch.set_num_threads(data.draw(st.sampled_from([1, 2, 3])))
    try:
        assert multiply(a, b, out=out, add=add, bias=bias) is out
    finally:
        torch.set_num_threads(threads)
    error = (out.double() - expected).abs().max().item() if rows else 0.0
    assert error <= 4 * depth**0.5 * torch.finfo(dtype).eps * largest + torch.finfo(dtype).eps * largest
    around[:, GUARD : GUARD + columns] = before[:, GUARD : GUARD + columns]
    assert torch.equal(around, before), "something beside was written"


@pytest.mark.parametrize("shape", [(150, 100, 64), (64, 900, 300), (300, 64, 150)], ids=str)
def test_large_enough_for_threads(shape: tuple[int, int, int]):
    rows, depth, columns = shape
    a, b = torch.randn(rows, depth), torch.randn(depth, columns)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(multiply(a, b, out=torch.full((rows, columns), torch.nan)))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(found[0], (a.double() @ b.double()).float(), rtol=1e-5, atol=1e-4)
    assert torch.equal(found[1], found[0])
    assert torch.equal(found[2], found[0])


def test_not_a_number_stays_in_its_row_and_column():
    a, b = torch.randn(37, 20), torch.randn(20, 45)
    a[5, 3], b[7, 11] = torch.nan, torch.inf
    out = multiply(a, b, out=torch.empty(37, 45))
    expected = a @ b
    assert torch.equal(out.isnan(), expected.isnan())
    assert torch.equal(out.isinf(), expected.isinf())
