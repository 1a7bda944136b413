"""The metrics of a run as rows of a CSV file that a resumed run goes on writing."""

import os
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from gatewise.diagnostics.callback import Watch
from gatewise.tasks.module import TaskModule


class MetricsFile(Callback):
    """A row per training step, and a row per score on the held-out data.

    Lightning's own CSV logger begins a new file when a run is resumed. Here the length of the file is part of the saved
    state, and what a killed run wrote after its last save is cut off.

    Args:
        path: the file.
        module: the model in training.
        watch: what watches some of the steps, the first one too; the rest of a row is what it saw of the step.
    """

    def __init__(self, path: Path, module: TaskModule, watch: Watch | None = None) -> None:
        self._path = path
        self._module = module
        self._watch = watch
        self._watched: list[str] = []
        self._length = 0
        self._step_ended_at = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut the file to what belongs to the saved state."""
        with self._path.open("ab") as file:
            file.truncate(self._length)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The first step begins."""
        self._step_ended_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the row of a step, and before the first one the names of the columns."""
        now = time.monotonic()
        speed = self._module.units(batch) / (now - self._step_ended_at)
        self._step_ended_at = now
        loss = self._module.loss
        seen = {} if self._watch is None else self._watch.values
        if self._length == 0:
            measure = self._module.measure
            self._watched = [name for name in seen if name != "gradient_norm"]
            names = f"loss,{measure.name},gradient_norm,{measure.unit}_per_second,held_out_loss,held_out_{measure.name}"
            self._write(",".join(["step", "epoch", "learning_rate", names, *self._watched]))
        self._write(
            f"{trainer.global_step},{trainer.current_epoch + 1},{self._module.learning_rate!r},{loss!r},"
            f"{self._module.reported!r},{self._module.gradient_norm!r},{speed:.0f},,"
            + "".join(f",{seen[name]!r}" if seen else "," for name in self._watched)
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the row of a held-out score."""
        loss, reported = (float(trainer.callback_metrics[name]) for name in ("held_out_loss", "held_out"))
        self._write(
            f"{trainer.global_step},{trainer.current_epoch + 1},,,,,,{loss!r},{reported!r}" + "," * len(self._watched)
        )
        self._step_ended_at = time.monotonic()  # scoring is no part of the next step

    def state_dict(self) -> dict[str, Any]:
        """The length of the file in bytes, all of them on the disk, and the columns of what is watched."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())
        return {"length": self._length, "watched": self._watched}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the length to go on from."""
        self._length = state_dict["length"]
        self._watched = state_dict.get("watched", [])

    def _write(self, row: str) -> None:
        line = f"{row}\n".encode()
        try:
            with self._path.open("ab") as file:
                file.write(line)
        except OSError:
            with self._path.open("ab") as file:
                file.truncate(self._length)  # no half row
            raise
        self._length += len(line)
