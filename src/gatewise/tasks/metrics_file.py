"""The metrics of a run as rows of a CSV file that a resumed run continues."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from gatewise.diagnostics.callback import Watch
from gatewise.tasks.metrics import Metrics
from gatewise.tasks.module import TaskModule
from gatewise.tasks.speed import Speed
from gatewise.writing import errors_of


class MetricsFile(Metrics):
    """A row per training step, and a row per score on the held-out data.

    Lightning's own CSV logger begins a new file when a run is resumed. Here the length of the file is part of the saved
    state, and what a killed run wrote after its last save is cut off.

    Args:
        path: the file.
        module: the model in training.
        speed: what measures its speed.
        watch: what watches some of the steps, the first one too; the rest of a row is what it saw of the step.
    """

    def __init__(self, path: Path, module: TaskModule, speed: Speed, watch: Watch | None = None) -> None:
        super().__init__(module, speed, watch)
        self._path = path
        self._watched: list[str] = []
        self._length = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Cut the file to what belongs to the saved state."""
        with self._path.open("ab") as file:
            file.truncate(self._length)

    def step(self, step: int, epoch: int, values: Mapping[str, float], seen: Mapping[str, float]) -> None:
        """Write the row of a step, and before the first one the names of the columns."""
        if self._length == 0:
            self._watched = list(seen)
            held_out = ("held_out_loss", f"held_out_{self._module.measure.name}")
            self._write("step", "epoch", *values, *held_out, *self._watched)
        of_watch = [repr(seen[name]) if seen else "" for name in self._watched]
        self._write(step, epoch, *map(repr, values.values()), "", "", *of_watch)

    def held_out(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Write the row of a held-out score."""
        self._write(step, epoch, *("" for _ in self.names), *map(repr, values.values()), *("" for _ in self._watched))

    def state_dict(self) -> dict[str, Any]:
        """The length of the file in bytes, all of them on the disk, and the columns of what is watched."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())
        return {"length": self._length, "watched": self._watched}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the length to continue from."""
        self._length = state_dict["length"]
        self._watched = state_dict.get("watched", [])

    def _write(self, *row: object) -> None:
        line = f"{','.join(map(str, row))}\n".encode()
        with errors_of(self._path):
            try:
                with self._path.open("ab") as file:
                    file.write(line)
            except OSError:
                with self._path.open("ab") as file:
                    file.truncate(self._length)  # no half row
                raise
        self._length += len(line)
