"""Weights in a file (safetensors) that says what it is, and of which cells."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from gatewise.equations import Cell
from gatewise.interchange.identity import declare_as, from_header, to_header, with_identities
from gatewise.writing import atomic_write

FORMAT, VERSION = "gatewise-weights", "2"
Shape = tuple[int, ...]

_WITHOUT_CHECKSUM = "1"
_CHECKSUM = "sha256"


def save_weights(path: Path, weights: Mapping[str, Tensor], **facts: str) -> None:
    """Write weights and some facts about them, atomically; the cells of recurrent layers are among the facts."""
    content = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    facts = {"format": FORMAT, "version": VERSION, **facts, **to_header(weights)}
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(content, {**facts, _CHECKSUM: _checksum(content, facts)}))


def read_facts(path: Path) -> dict[str, str]:
    """The facts that `save_weights` wrote beside the weights.

    Raises:
        ValueError: when the file is corrupt, or not one of ours.
        OSError: when it cannot be read.
    """
    with _opened(path) as file:
        return _facts(path, file)


def checksum_of(path: Path) -> str:
    """The checksum in a file of weights; empty in those of early versions, which have none.

    Raises:
        ValueError, OSError: see `read_facts`.
    """
    return read_facts(path).get(_CHECKSUM, "")


def check_shapes(path: Path, found: Mapping[str, Shape], model: nn.Module) -> None:
    """Raise a ValueError unless the weights in a file, of these shapes, are those of such a model."""
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{path}: weights of another model: {name} is {found.get(name, 'missing')}, "
                f"the configuration expects {expected.get(name, 'none')}"
            )


def read_shapes(path: Path) -> dict[str, Shape]:
    """The shapes of the weights by name; nothing but the file's header is read.

    Raises:
        ValueError, OSError: see `read_facts`.
    """
    with _opened(path) as file:
        _facts(path, file)
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def load_weights(path: Path, model: nn.Module, recorded: Mapping[str, Cell] | None = None) -> None:
    """Read weights into a model.

    Args:
        path: the file.
        model: the model that its run describes.
        recorded: for files of early versions, which do not name the cells of the weights: by the name of a cell of the
            model, that cell as it was when the run began.

    Raises:
        ValueError: when the file is corrupt, not one of ours, or of another model.
        OSError: when it cannot be read.
    """
    check_shapes(path, read_shapes(path), model)
    with _opened(path) as file:
        facts = _facts(path, file)
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if facts["version"] != _WITHOUT_CHECKSUM and facts.pop(_CHECKSUM, None) != _checksum(weights, facts):
        raise ValueError(f"{path}: not the weights that were saved: the file has changed since (its checksum differs)")
    try:
        identities = from_header(facts)
        known = with_identities(weights, identities) if identities else declare_as(weights, model, recorded)
        model.load_state_dict(known)
    except (ValueError, RuntimeError) as error:  # names and shapes are right; a cell is not
        raise ValueError(f"{path}: {error}") from None


def _checksum(weights: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """The SHA-256 of weights, their names, types and shapes, and of the facts."""
    kinds = {name: [str(weight.dtype), list(weight.shape)] for name, weight in weights.items()}
    digest = hashlib.sha256(json.dumps([facts, kinds], sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(weights[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with path.open("rb"):  # a missing file is an OSError that names it
        pass
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a file of weights, or a corrupt one ({error})") from None


def _facts(path: Path, file: Any) -> dict[str, str]:
    facts = file.metadata() or {}
    name, version = facts.get("format"), facts.get("version")
    if name != FORMAT or version not in (VERSION, _WITHOUT_CHECKSUM):
        raise ValueError(f"{path}: expected {FORMAT} version {VERSION}, got {name} version {version}")
    return facts


def vocabulary_fact(content: bytes) -> dict[str, str]:
    """The fact that ties weights to their vocabulary, the content of its file."""
    return {"vocabulary_sha256": hashlib.sha256(content).hexdigest()}
