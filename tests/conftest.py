"""What all tests share."""

import pytest
from hypothesis import settings

# A busy machine is no defect of the code under test.
settings.register_profile("gatewise", deadline=None)
settings.load_profile("gatewise")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests that need a CUDA device to the machines that have one."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))
