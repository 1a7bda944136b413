"""Safetensors files; the cells of layers are in their header."""

import struct
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from gatewise.interchange.formats import WeightsFormat
from gatewise.interchange.identity import from_header, to_header, with_identities
from gatewise.writing import atomic_write


def recognises(path: Path) -> bool:
    """Whether a file begins as safetensors do: the length of a header, and its first brace."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= path.stat().st_size


def read(path: Path, key: str | None) -> dict[str, Tensor]:
    """The weights of a file, with the identities in its header.

    Raises:
        ValueError: when the file is corrupt, or ``key`` is given.
        OSError: when it cannot be read.
    """
    if key is not None:
        raise ValueError(f"--key: {path} is a safetensors file, which has one state dict")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file, or a corrupt one ({error})") from None
    try:
        return with_identities(weights, from_header(header))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write(path: Path, state_dict: dict[str, Tensor], **facts: str) -> list[str]:
    """Write all weights, with their identities and other facts in the header; tied weights are written each."""
    content: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, weight in state_dict.items():
        weight = weight.detach().cpu().contiguous()
        place = weight.untyped_storage().data_ptr()
        content[name] = weight.clone() if place in places else weight
        places.add(place)
    packed = safetensors.torch.save(content, {"format": "pt", **facts, **to_header(state_dict)})
    with atomic_write(path) as file:
        file.write(packed)
    return []


FORMAT = WeightsFormat(recognises, read, write)
