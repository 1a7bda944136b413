"""Keras on the torch backend, imported once where it is installed."""

import importlib
import warnings
from importlib.util import find_spec
from typing import Any

import pytest


@pytest.fixture(scope="session")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Keras, whose backend is chosen when it is imported; the test is skipped where it is not installed."""
    if find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras-home")))  # where it writes its settings
        warnings.simplefilter("ignore")
        module = importlib.import_module("keras")
    if module.backend.backend() != "torch":
        pytest.skip("Keras was imported with another backend")
    return module
