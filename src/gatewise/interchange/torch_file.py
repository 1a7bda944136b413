"""Checkpoints of torch: a state dict, alone or inside others."""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatewise.interchange.formats import WeightsFormat
from gatewise.writing import atomic_write

_DEEPEST = 4


def recognises(path: Path) -> bool:
    """Whether a file is one of `torch.save`, of today's or of the early format."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.rpartition("/")[2] == "data.pkl" for name in archive.namelist())
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO


def read(path: Path, key: str | None) -> dict[str, Tensor]:
    """The state dict of a checkpoint; nothing in the file is executed.

    Raises:
        ValueError: when the file is corrupt, holds more than tensors and plain values, or no state dict or several.
        OSError: when it cannot be read.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        loaded = torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "nsupported" in str(error) or "GLOBAL" in str(error):
            raise ValueError(
                f"{path}: holds objects other than tensors and plain values, such as a whole module; save its "
                "state_dict() instead"
            ) from None
        raise ValueError(f"{path}: not a checkpoint of torch, or a corrupt one") from None
    except Exception:  # torch.load raises nearly anything on a file that is corrupt
        raise ValueError(f"{path}: not a checkpoint of torch, or a corrupt one") from None
    found = dict(_state_dicts(loaded, ""))
    if key is not None:
        if key not in found:
            raise ValueError(f"--key: {path} has no state dict {key!r}; it has {_listed(found)}")
        return _checked(path, found[key])
    recurrent = [name for name, state in found.items() if any("weight_hh" in weight for weight in state)]
    chosen = recurrent or list(found)
    if not chosen:
        raise ValueError(f"{path}: no state dict in it (a dict of tensors by name)")
    if len(chosen) > 1:
        raise ValueError(f"{path}: several state dicts; choose one with --key: {_listed(chosen)}")
    return _checked(path, found[chosen[0]])


def write(path: Path, state_dict: dict[str, Tensor]) -> list[str]:
    """Write a state dict as `torch.save` does, with all of its weights."""
    content = io.BytesIO()  # torch.save hides a full disk behind an error of its own
    torch.save(state_dict, content)
    with atomic_write(path) as file:
        file.write(content.getbuffer())
    return []


def _state_dicts(content: object, path: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """The dicts with tensors by name in a checkpoint, by their path of keys."""
    if not isinstance(content, dict) or depth > _DEEPEST or not all(isinstance(name, str) for name in content):
        return
    if any(isinstance(value, Tensor) for value in content.values()):
        yield path, content
        return
    for name, value in content.items():
        yield from _state_dicts(value, f"{path}/{name}" if path else name, depth + 1)


def _checked(path: Path, state: dict[str, Any]) -> dict[str, Tensor]:
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{path}: {name}: expected a tensor, got {type(value).__name__}")
    plain = OrderedDict(state)
    if isinstance(metadata := getattr(state, "_metadata", None), dict):
        plain._metadata = metadata  # pyright: ignore[reportAttributeAccessIssue]
    return plain


def _listed(names: Any) -> str:
    return ", ".join(repr(name) for name in names) or "none"


FORMAT = WeightsFormat(recognises, read, write)
