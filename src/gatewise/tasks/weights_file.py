"""Weights in a file (safetensors) that says what it is."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from gatewise.writing import atomic_write

FORMAT, VERSION = "gatewise-weights", "1"


def save_weights(path: Path, weights: Mapping[str, Tensor], **facts: str) -> None:
    """Write weights and some facts about them, atomically."""
    content = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(content, {"format": FORMAT, "version": VERSION, **facts}))


def read_facts(path: Path) -> dict[str, str]:
    """The facts that `save_weights` wrote beside the weights.

    Raises:
        ValueError: when the file is corrupt, or not one of ours.
        OSError: when it cannot be read.
    """
    return _read(path, weights=False)[0]


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights into a model.

    Raises:
        ValueError: when the file is corrupt, not one of ours, or of another model.
        OSError: when it cannot be read.
    """
    _, weights = _read(path, weights=True)
    expected = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{path}: weights of another model: {name} is {found.get(name, 'missing')}, "
                f"the configuration expects {expected.get(name, 'none')}"
            )
    model.load_state_dict(weights)


def _read(path: Path, *, weights: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    with path.open("rb"):  # a missing file is an OSError that names it
        pass
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            found = facts.get("format"), facts.get("version")
            content = {name: file.get_tensor(name) for name in file.keys()} if weights else {}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a file of weights, or a corrupt one ({error})") from None
    if found != (FORMAT, VERSION):
        raise ValueError(f"{path}: expected {FORMAT} version {VERSION}, got {found[0]} version {found[1]}")
    return facts, content


def vocabulary_fact(vocabulary_json: str) -> dict[str, str]:
    """The fact that ties weights to their vocabulary."""
    return {"vocabulary_sha256": hashlib.sha256(vocabulary_json.encode("utf-8")).hexdigest()}


class BestWeights(Callback):
    """Writes the weights whenever the held-out criterion is the least so far; a resumed run knows it from the file."""

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        self._path = path
        self._facts = facts
        self._best = float(read_facts(path)["criterion"]) if path.exists() else float("inf")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare, and write."""
        criterion = float(trainer.callback_metrics["criterion"])
        if criterion < self._best:
            model: Any = pl_module.model
            facts = {**self._facts, "criterion": repr(criterion), "epoch": str(trainer.current_epoch + 1)}
            save_weights(self._path, model.state_dict(), **facts)
            self._best = criterion
