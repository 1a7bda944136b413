"""The formats of weights files: one module and one line each."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

FORMATS = {
    "torch": "gatewise.interchange.torch_file",
    "safetensors": "gatewise.interchange.safetensors_file",
}
"""By name the module with the ``FORMAT``; loaded when used."""

READ_ONLY = {"keras": "gatewise.interchange.keras_file", "onnx": "gatewise.interchange.onnx_file"}
"""Likewise of files that are only read: they hold more than weights. ONNX is tried last, since it has no signature."""


@dataclass(frozen=True)
class WeightsReader:
    """How weights are read from a kind of file.

    Attributes:
        recognises: whether a file is of this format, by its content.
        read: the weights of a file by name, with the identities that it has in their metadata; the second argument is
            the key of one of several state dicts in the file, or None. Raises a ValueError that names the file where it
            is malformed.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[Path, str | None], dict[str, Tensor]]


@dataclass(frozen=True)
class WeightsFormat(WeightsReader):
    """How weights are read from a kind of file, and written.

    Attributes:
        write: writes weights, with the identities in their metadata, atomically.
    """

    write: Callable[[Path, dict[str, Tensor]], None]


def format_named(name: str) -> WeightsFormat:
    """The format of a name.

    Raises:
        ValueError: when there is none.
    """
    if name not in FORMATS:
        raise ValueError(f"--to: expected one of {', '.join(FORMATS)}, got {name!r}")
    return importlib.import_module(FORMATS[name]).FORMAT


def format_of(path: Path) -> WeightsReader:
    """The format of a file, by its content.

    Raises:
        ValueError: when it is of none.
        OSError: when it cannot be read.
    """
    with path.open("rb"):  # a missing file is an OSError that names it
        pass
    modules = FORMATS | READ_ONLY
    for module in modules.values():
        if (found := importlib.import_module(module).FORMAT).recognises(path):
            return found
    raise ValueError(f"{path}: not a file of weights of a known format ({', '.join(modules)})")
