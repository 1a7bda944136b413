"""The metrics of a run at every step and every evaluation, passed to the classes that write them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from gatewise.diagnostics.callback import Watch
from gatewise.tasks.module import TaskModule
from gatewise.tasks.speed import Speed


class Metrics(Callback, ABC):
    """Writes down the metrics of a run.

    Args:
        module: the model in training.
        speed: what measures its speed.
        watch: what watches some of the steps, the first one too.
    """

    def __init__(self, module: TaskModule, speed: Speed, watch: Watch | None = None) -> None:
        self._module, self._speed, self._watch = module, speed, watch

    @property
    def names(self) -> tuple[str, ...]:
        """Of what is measured at every step."""
        measure = self._module.measure
        return "learning_rate", "loss", measure.name, "gradient_norm", f"{measure.unit}_per_second"

    @abstractmethod
    def step(self, step: int, epoch: int, values: Mapping[str, float], seen: Mapping[str, float]) -> None:
        """A training step was made.

        Args:
            step, epoch: counted from 1.
            values: by `names`.
            seen: what was seen besides, if it was watched.
        """

    @abstractmethod
    def held_out(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """The held-out data was scored after a step."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Lightning's hook."""
        module = self._module
        if not module.ended_step:
            return
        measured = module.learning_rate, module.loss, module.reported, module.gradient_norm, self._speed.per_second
        values = dict(zip(self.names, measured, strict=True))
        seen = {} if self._watch is None else self._watch.values
        seen = {name: value for name, value in seen.items() if name not in values}
        self.step(trainer.global_step, trainer.current_epoch + 1, values, seen)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's hook."""
        loss, reported = (float(trainer.callback_metrics[name]) for name in ("held_out_loss", "held_out"))
        self.held_out(
            trainer.global_step, trainer.current_epoch + 1, {"loss": loss, self._module.measure.name: reported}
        )
