"""Some of `tests.layers.fuzz`, in every run of the tests."""

import pytest
import torch

from tests.kernels.engine import needs_engine
from tests.layers.fuzz import Calls


@needs_engine
@pytest.mark.parametrize("seed", range(4))
def test_calls_in_any_order(seed: int):
    before = torch.get_num_threads()
    calls = Calls(seed)
    try:
        for _ in range(30):
            calls.one()
    finally:
        torch.set_num_threads(before)
