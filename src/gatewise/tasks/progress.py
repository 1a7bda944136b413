"""What a training run shows while it runs: a bar on a terminal or lines of steps, and a line per epoch."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from gatewise.tasks.module import TaskModule
from gatewise.tasks.reporting import say
from gatewise.tasks.time_limit import TimeLimit

SAY_EVERY_SECONDS = 10.0


class Progress(Callback):
    """Loss, the task's measure, gradient norm before clipping, speed and time left, on the standard error.

    Args:
        module: the model in training.
        total_steps: the steps of the whole run.
        limit: the limit on the time of the run.
    """

    def __init__(self, module: TaskModule, total_steps: int, limit: TimeLimit) -> None:
        self._module = module
        self._total_steps = total_steps
        self._limit = limit
        self._bar: tqdm[Any] | None = None
        self._first_step = 0
        self._began_at = self._epoch_began_at = self._said_at = 0.0
        self._epoch_units = self._loss_sum = self._counted_sum = self._norm_sum = 0.0
        self._epoch_steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self._first_step = trainer.global_step
        self._began_at = self._epoch_began_at = self._said_at = time.monotonic()
        self._bar = tqdm(
            total=self._total_steps,
            initial=self._first_step,
            disable=not sys.stderr.isatty(),
            bar_format="{percentage:3.0f}%|{bar}| {desc}",
            dynamic_ncols=True,
            leave=False,
        )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an epoch's averages."""
        self._epoch_began_at = time.monotonic()
        self._epoch_units = self._loss_sum = self._counted_sum = self._norm_sum = 0.0
        self._epoch_steps = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        self._epoch_units += self._module.units(batch)
        self._epoch_steps += 1
        self._loss_sum += self._module.loss
        self._counted_sum += self._module.counted
        self._norm_sum += self._module.gradient_norm
        assert self._bar is not None
        self._bar.update()
        due = time.monotonic() - self._said_at >= SAY_EVERY_SECONDS
        if self._bar.disable and not due:
            return
        text = self._line(trainer, self._module.loss, self._module.reported, self._module.gradient_norm)
        if not self._bar.disable:
            self._bar.set_description_str(text, refresh=False)
        else:
            say(f"step {trainer.global_step:,} of {self._total_steps:,}: {text}")
            self._said_at = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A line for the epoch."""
        if self._epoch_steps == 0:
            return
        held_out = float(trainer.callback_metrics["held_out"])
        loss, counted, norm = (
            total / self._epoch_steps for total in (self._loss_sum, self._counted_sum, self._norm_sum)
        )
        text = self._line(trainer, loss, self._module.measure.of(loss, counted), norm)
        self._said_at = time.monotonic()
        say(f"epoch {trainer.current_epoch + 1}: held-out {held_out:.3f}; {text}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End."""
        self._close()

    def _line(self, trainer: Trainer, loss: float, reported: float, gradient_norm: float) -> str:
        speed = self._epoch_units / (time.monotonic() - self._epoch_began_at)
        return (
            f"loss {loss:.3f}, {reported:.3f} {self._module.measure.title}, "
            f"gradient norm {gradient_norm:.2f}, {speed:,.0f} {self._module.measure.unit}/s, "
            f"{clock(self._seconds_left(trainer))} left"
        )

    def _seconds_left(self, trainer: Trainer) -> float:
        done = trainer.global_step - self._first_step
        per_step = (time.monotonic() - self._began_at) / max(done, 1)
        return min(per_step * (self._total_steps - trainer.global_step), self._limit.seconds_left())

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def clock(seconds: float) -> str:
    """A duration as hours, minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
