"""How fast training is."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from gatewise.tasks.module import TaskModule


class Speed(Callback):
    """Measures the speed of every step; it must precede the callbacks that report it.

    Args:
        module: the model in training.

    Attributes:
        per_second: how many of the measure's units the last step did in a second.
    """

    def __init__(self, module: TaskModule) -> None:
        self.per_second = 0
        self._module = module
        self._step_ended_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The first step begins."""
        self._step_ended_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step has ended."""
        if not self._module.ended_step:
            return
        now = time.monotonic()
        self.per_second = round(self._module.read / (now - self._step_ended_at))
        self._step_ended_at = now

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Scoring is no part of the next step."""
        self._step_ended_at = time.monotonic()
