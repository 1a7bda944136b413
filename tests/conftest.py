"""What all tests share."""

import functools
import gc
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings

import gatewise
from gatewise.extras import EXTRAS, missing
from gatewise.tasks import learning_curve, model_card, plots
from tests.combinations import examples

# A busy machine is no defect of the code under test.
settings.register_profile("gatewise", deadline=None, max_examples=examples(100))
settings.load_profile("gatewise")


# What cannot be imported without an extra of the package; single tests use `pytest.importorskip`.
_NEED = {
    "tasks": (
        "cli/test_export.py",
        "cli/test_forecast.py",
        "cli/test_inspect.py",
        "cli/test_sequence_tasks.py",
        "cli/test_train.py",
        "data/test_entities.py",
        "data/test_mutations.py",
        "data/test_numeric_sequences.py",
        "data/test_series.py",
        "data/test_short_tables.py",
        "data/test_table_parts.py",
        "data/test_vocabulary.py",
        "data/test_vocabulary_file.py",
        "diagnostics/test_callback.py",
        "examples/test_profile_training.py",
        "examples/test_regularised_language_model.py",
        "tasks",
    ),
    "onnx": ("interchange/onnx", "tasks/test_exports.py"),
    "studies": ("cli/test_study.py", "data/generated/test_digits.py", "studies"),
}
_MISSING = [extra for extra in EXTRAS if missing(extra)]
collect_ignore = [path for extra in _MISSING for path in _NEED.get(extra, ())]

_WORKER = "PYTEST_XDIST_WORKER"
_CELLS = "GATEWISE_CACHE"
_FOLDER = pytest.StashKey[str]()


def pytest_report_header() -> list[str]:
    """Say what is not tested, and why."""
    return [
        f"gatewise[{extra}] is not installed; not collected: {', '.join(_NEED[extra])}"
        for extra in _MISSING
        if extra in _NEED
    ]


def pytest_configure(config: pytest.Config) -> None:
    """Check what is tested, and give the run a folder for compiled cells, which all of its processes share.

    Where ``GATEWISE_EXPECT_EXTRAS`` is set, as in ``make test``, nothing may be skipped for want of an extra. Where
    ``GATEWISE_EXPECT_INSTALLED`` is, as in ``make test-wheel``, the installed package is tested and not this tree's.
    """
    if os.environ.get("GATEWISE_EXPECT_EXTRAS") and _MISSING:
        raise pytest.UsageError(f"all extras are expected; missing: {', '.join(_MISSING)} (pip install -e '.[test]')")
    if os.environ.get("GATEWISE_EXPECT_INSTALLED"):
        site = Path(sysconfig.get_path("platlib"))
        if not Path(gatewise.__file__).is_relative_to(site):
            raise pytest.UsageError(f"expected the gatewise in {site}, and {gatewise.__file__} was imported")
    if _WORKER not in os.environ:
        config.stash[_FOLDER] = os.environ[_CELLS] = tempfile.mkdtemp(prefix="gatewise-test-cells-")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect the tests, and no garbage among them and the modules that they import: all of that stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder."""
    if _FOLDER in config.stash:
        shutil.rmtree(config.stash[_FOLDER])


# The smallest image: one grey pixel.
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
)
_render, _new_figure = plots._render, learning_curve.new_figure


class _Blank:
    """A figure that takes a learning curve and draws nothing."""

    def subplots(self, rows: int, columns: int, **options: Any) -> list[mock.MagicMock]:
        return [mock.MagicMock() for _ in range(rows * columns)]


@pytest.fixture(scope="session", autouse=True)
def light_files():
    """Skip what takes most of the time of a small training run, and few tests are about.

    Figures are composed, but not rendered, and learning curves on blank paper; see `rendered`. Files are not
    synchronised to the disk, which shows only after a failure of power. The equations of a cell are written once, and
    what is installed is looked up once.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning_curve, "new_figure", lambda width, height: _Blank())
        patch.setattr(model_card, "_equations", functools.cache(model_card._equations))
        if registry := sys.modules.get("lightning.fabric.utilities.registry"):
            patch.setattr(registry, "entry_points", functools.cache(registry.entry_points))
        patch.setattr(plots, "_render", lambda figure, file: file.write(_PIXEL))
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def rendered(monkeypatch):
    """For tests of figures: they are rendered as for users."""
    monkeypatch.setattr(plots, "_render", _render)
    monkeypatch.setattr(learning_curve, "new_figure", _new_figure)


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
