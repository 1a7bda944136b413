"""The formats of weights files: one module and one line each."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from gatewise.registry import Registry


@dataclass(frozen=True)
class WeightsFormat:
    """How weights are read from a kind of file, and written.

    Attributes:
        recognises: whether a file is of this format, by its content.
        read: the weights of a file by name, with the identities that it has in their metadata; the second argument is
            the key of one of several state dicts in the file, or None. Raises a ValueError that names the file where it
            is malformed.
        write: writes weights, with the identities in their metadata, atomically; returns the names of those that the
            format does not hold. Raises a ValueError where it does not hold a recurrent layer.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[Path, str | None], dict[str, Tensor]]
    write: Callable[[Path, dict[str, Tensor]], list[str]]


FORMATS = Registry[WeightsFormat](
    "--to",
    "FORMAT",
    {
        "torch": "gatewise.interchange.torch_file",
        "safetensors": "gatewise.interchange.safetensors_file",
        "keras": "gatewise.interchange.keras_file",
        "onnx": "gatewise.interchange.onnx_file",
    },
)
"""The formats by name. ONNX is tried last on reading: it has no signature."""


def format_of(path: Path) -> WeightsFormat:
    """The format of a file, by its content.

    Raises:
        ValueError: when it is of none.
        OSError: when it cannot be read.
    """
    with path.open("rb"):  # a missing file is an OSError that names it
        pass
    for name in FORMATS:
        if (found := FORMATS[name]).recognises(path):
            return found
    raise ValueError(f"{path}: not a file of weights of a known format ({', '.join(FORMATS)})")
