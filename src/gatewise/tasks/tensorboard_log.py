"""The metrics of a run for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch import LightningModule, Trainer

from gatewise.diagnostics.callback import Watch
from gatewise.extras import require
from gatewise.tasks.metrics import Metrics
from gatewise.tasks.module import TaskModule
from gatewise.tasks.speed import Speed

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


def check_logger(logger: str) -> None:
    """Raise a MissingExtraError when the logger asked for is not installed."""
    if logger == "tensorboard":
        require("the logger tensorboard", "tensorboard")


class TensorBoardLog(Metrics):
    """Scalars of every step and score; at watched steps also what was seen, and how the values of each gate spread.

    Args:
        folder: for the event files. A resumed run adds one, which takes back what was written after its saved state.
        module: the model in training.
        speed: what measures its speed.
        watch: what watches some of the steps.
    """

    def __init__(self, folder: Path, module: TaskModule, speed: Speed, watch: Watch | None = None) -> None:
        super().__init__(module, speed, watch)
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an event file."""
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=trainer.global_step + 1)

    def step(self, step: int, epoch: int, values: Mapping[str, float], seen: Mapping[str, float]) -> None:
        """Write what a step measured."""
        self._scalars("training", step, {**values, "epoch": epoch})
        self._scalars("watched", step, seen)
        if seen and self._watch is not None and self._watch.trace is not None and self._writer is not None:
            for name, gate in self._watch.trace.gates().items():
                self._writer.add_histogram(f"gates/{name}", gate[gate.isfinite()], step)

    def held_out(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Write a held-out score."""
        self._scalars("held_out", step, values)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the event file."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the event file."""
        self._close()

    def _scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        assert self._writer is not None
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
