"""Saving the best weights during training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from gatewise.tasks.weights_file import read_facts, save_weights


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
