"""What a training run shows while it runs: a bar on a terminal or lines of steps, and a line per epoch."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from gatewise.formatting import format_number
from gatewise.progress import Progress, clock, say
from gatewise.tasks import world
from gatewise.tasks.exchange import Exchange
from gatewise.tasks.module import TaskModule
from gatewise.tasks.time_limit import TimeLimit


class TrainingProgress(Callback):
    """Loss, the task's measure, gradient norm before clipping, speed and time left, on the standard error.

    Args:
        module: the model in training.
        total_steps: the steps of the whole run.
        limit: the limit on the time of the run.
        exchange: what adds up the gradients of several processes.
    """

    def __init__(
        self, module: TaskModule, total_steps: int, limit: TimeLimit, exchange: Exchange | None = None
    ) -> None:
        self._module = module
        self._total_steps = total_steps
        self._limit = limit
        self._exchange = exchange
        self._exchanged_before = 0.0
        self._step = self._first_step = 0
        self._began_at = self._epoch_began_at = 0.0
        self._epoch_seconds = self._epoch_units = self._loss_sum = self._ratio_sum = self._norm_sum = 0.0
        self._epoch_steps = 0
        self._training: Progress | None = None
        self._validating: Progress | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self._step = self._first_step = trainer.global_step
        self._began_at = self._epoch_began_at = time.monotonic()
        first, total = self._first_step, self._total_steps
        self._training = Progress("training", total=total, done=first, status=self._status).__enter__()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an epoch's averages."""
        self._epoch_began_at = time.monotonic()
        self._epoch_seconds = self._epoch_units = self._loss_sum = self._ratio_sum = self._norm_sum = 0.0
        self._epoch_steps = 0
        self._exchanged_before = 0.0 if self._exchange is None else self._exchange.seconds

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        if not self._module.ended_step:
            return
        self._step = trainer.global_step
        self._epoch_seconds = time.monotonic() - self._epoch_began_at
        self._epoch_units += self._module.read
        self._epoch_steps += 1
        self._loss_sum += self._module.loss
        self._ratio_sum += self._module.ratio
        self._norm_sum += self._module.gradient_norm
        assert self._training is not None
        # Of a run with a limit on its time, by whichever is nearer to its end.
        self._training.done = max(self._step, self._limit.fraction() * self._total_steps)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a bar of its own."""
        total = sum(trainer.num_val_batches)
        self._validating = Progress("validating", self._module.measure.unit, total).__enter__()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move that bar."""
        assert self._validating is not None
        self._validating.advance(self._module.units(batch))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A line for the epoch."""
        self._end(self._validating)
        if self._epoch_steps == 0:
            return
        held_out = float(trainer.callback_metrics["held_out"])
        loss, ratio, norm = (total / self._epoch_steps for total in (self._loss_sum, self._ratio_sum, self._norm_sum))
        measure = self._module.measure
        say(
            f"epoch {trainer.current_epoch + 1}: held-out {measure.title} {format_number(held_out)}; training "
            f"{self._line(loss, measure.of(loss, ratio), norm)}{self._exchange_share()}, {self._left()}"
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End."""
        self._end(self._training)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End."""
        self._end(self._validating)
        self._end(self._training)

    def _status(self) -> str:
        module = self._module
        if self._step == self._first_step:
            return f"step 1 of {self._total_steps:,}"
        line = self._line(module.loss, module.reported, module.gradient_norm)
        return f"{self._left()}, {line}, step {self._step:,} of {self._total_steps:,}"

    def _line(self, loss: float, reported: float, gradient_norm: float) -> str:
        measure = self._module.measure
        speed = self._epoch_units / max(self._epoch_seconds, 1e-9)
        return (
            f"loss {format_number(loss)} {measure.loss_unit}, gradient norm {format_number(gradient_norm, 3)}, "
            f"{format_number(speed, 3)} {measure.unit}/s, {measure.title} {format_number(reported)}"
        )

    def _exchange_share(self) -> str:
        if self._exchange is None or world.size() == 1:
            return ""
        share = (self._exchange.seconds - self._exchanged_before) / max(self._epoch_seconds, 1e-9)
        return f", exchange {100 * share:.2g} % of the time"

    def _left(self) -> str:
        per_step = (time.monotonic() - self._began_at) / max(self._step - self._first_step, 1)
        return f"{clock(min(per_step * (self._total_steps - self._step), self._limit.seconds_left()))} left"

    def _end(self, progress: Progress | None) -> None:
        if progress is not None:
            progress.__exit__()
