"""What all tests share."""

import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# A busy machine is no defect of the code under test.
settings.register_profile("gatewise", deadline=None)
settings.load_profile("gatewise")


_WORKER = "PYTEST_XDIST_WORKER"
_CELLS = "GATEWISE_CACHE"


def pytest_configure() -> None:
    """Give a run a folder of its own for compiled cells, which its workers and the processes they start share."""
    if _WORKER not in os.environ:
        os.environ[_CELLS] = tempfile.mkdtemp(prefix="gatewise-test-cells-")


def pytest_unconfigure() -> None:
    """Remove it."""
    if _WORKER not in os.environ:
        shutil.rmtree(os.environ.pop(_CELLS))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that need a CUDA device, or a browser, to those who have one."""
    if "browser" not in config.getoption("markexpr"):
        items[:] = [item for item in items if not item.get_closest_marker("browser")]
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))
