"""The same agreement on a CUDA device, where cuDNN runs what it has; run wherever there is such a device."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from gatewise.kernels import Directions, backend_for, run
from tests.agreement import CELLS, SLACK
from tests.kernels.calls import call_of, flat, on_reference, upstream_of
from tests.kernels.test_dispatch import SERVED
from tests.kernels.test_gradient import close

pytestmark = pytest.mark.cuda
OPTIONS: list[dict[str, Any]] = [{}, {"lengths": [4, 2, 1]}, {"lengths": [4, 0, 3], "reset": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("directions", ["forward", "bidirectional"])
@pytest.mark.parametrize("cell", CELLS)
def test_cuda_agrees_with_the_reference_on_the_cpu(cell: str, directions: Directions, options: dict[str, Any]):
    there, here = (call_of(cell, directions, device=device, **options) for device in ("cuda", "cpu"))
    expected = flat(on_reference(here))
    above = upstream_of(expected)
    wanted = torch.autograd.grad(expected, here.tensors, above, allow_unused=True)
    for every in (None, 2):
        actual = flat(run(replace(there, checkpoint_every=every)))
        close([value.cpu() for value in actual], expected)
        gradients = torch.autograd.grad(actual, there.tensors, [value.cuda() for value in above], allow_unused=True)
        close([None if gradient is None else gradient.cpu() for gradient in gradients], wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("cell", sorted(SERVED))
def test_cudnn_runs_what_it_serves(cell: str, dtype: torch.dtype):
    call = call_of(cell, "bidirectional", dtype=dtype, device="cuda")
    assert backend_for(call).name == "torch"
    exact = flat(on_reference(call_of(cell, "bidirectional")))
    for value, expected in zip(flat(run(call)), exact, strict=True):
        # TF32 may replace float32 in the products.
        tolerance = SLACK[dtype] * max(torch.finfo(dtype).eps, 2**-10)
        torch.testing.assert_close(value.double().cpu(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("cell", sorted(SERVED))
def test_second_derivatives_that_cudnn_does_not_have(cell: str):
    found = []
    for device in ("cuda", "cpu"):
        call = call_of(cell, device=device)
        output, _ = run(call)
        (first,) = torch.autograd.grad(output.square().sum(), call.x, create_graph=True)
        found.append([value.cpu() for value in torch.autograd.grad(first.square().sum(), call.tensors)])
    close(*found)


@pytest.mark.parametrize("cell", sorted(SERVED))
def test_backward_twice_and_not_again(cell: str):
    call = call_of(cell, device="cuda")
    output, _ = run(call)
    once = torch.autograd.grad(output.sum(), call.tensors, retain_graph=True)
    twice = torch.autograd.grad(output.sum(), call.tensors)
    close(once, twice)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(output.sum(), call.tensors)
