"""Gates that inputs as large as there are saturate: their gradients are zero, not tiny numbers times such an input."""

import pytest
import torch

from gatewise.cells import names
from tests.kernels.calls import call_of, flat, on_engine, on_reference, upstream_of
from tests.kernels.engine import needs_engine

pytestmark = needs_engine
BOUNDED = [name for name in names() if "relu" not in name and name != "slstm"]  # the others' values overflow
LARGE = {torch.float32: (1e36, -1e37, 1e38, -3e38), torch.float64: (1e306, -1e307, 1e308)}


@pytest.mark.parametrize("dtype", LARGE, ids=str)
@pytest.mark.parametrize("name", BOUNDED)
def test_gradients_are_the_references(name: str, dtype: torch.dtype):
    for value in (*LARGE[dtype], torch.inf, -torch.inf):
        call = call_of(name, hidden_size=20, dtype=dtype)
        x = call.x.detach().clone()
        x[1, :, 0] = value
        call = call.with_tensors((x.requires_grad_(), *call.tensors[1:]))
        found, expected = (
            [*results, *torch.autograd.grad(results, call.tensors, upstream_of(results))]
            for results in (flat(run(call)) for run in (on_engine, on_reference))
        )
        for actual, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(actual, wanted, equal_nan=True)
