"""The limit on the time of a run, and how much of it is used."""

from datetime import timedelta
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.trainer.states import RunningStage


class TimeLimit(Timer):
    """Stops training where scoring the held-out data once more would end after the limit.

    The time counts from the start of the command, and with it that of a run before a resume. A run without weights
    takes one step and scores it, whatever the time.

    Args:
        minutes: the limit, if any.
        began_at: when the command began, by `time.monotonic`.
        has_weights: whether the run has weights already, so that it may stop before its first step.
    """

    def __init__(self, minutes: float | None, began_at: float, has_weights: bool) -> None:
        super().__init__(duration=None if minutes is None else timedelta(minutes=minutes), verbose=False)
        self._has_weights = has_weights
        self._start_time[RunningStage.TRAINING] = began_at
        self._trains_from: float | None = None
        self._scoring_before = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What was used, and from when on it was for training."""
        return {**super().state_dict(), "trains_from": self._trains_from}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from them."""
        super().load_state_dict(state_dict)
        self._trains_from = state_dict.get("trains_from")
        self._scoring_before = state_dict["time_elapsed"][RunningStage.VALIDATING.value]

    def on_fit_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Stop before the first step if the time was used before a resume."""
        if self._has_weights:
            super().on_fit_start(trainer, *args, **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training begins; the clock runs already."""
        if self._trains_from is None:
            self._trains_from = self.time_elapsed()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop here if another step and its score would take too long."""
        super().on_validation_end(trainer, pl_module)
        if self._duration is not None:
            self._check_time_remaining(trainer)

    @property
    def scoring_seconds(self) -> float:
        """How long the last scoring of the held-out data took; 0 before the first."""
        ended = self.end_time(RunningStage.VALIDATING)
        return self._scoring_before if ended is None else self.time_elapsed(RunningStage.VALIDATING)

    def fraction(self) -> float:
        """The fraction of the time for training that is used: 0 without a limit, and before training."""
        if self._duration is None or self._trains_from is None:
            return 0.0
        available = self._duration - self.scoring_seconds - self._trains_from
        return 1.0 if available <= 0 else min(1.0, max(0.0, (self.time_elapsed() - self._trains_from) / available))

    def seconds_left(self) -> float:
        """The time left for training; infinite without a limit."""
        if self._duration is None:
            return float("inf")
        return max(0.0, self._duration - self.scoring_seconds - self.time_elapsed())

    def _check_time_remaining(self, trainer: Trainer) -> None:
        trainer.should_stop = trainer.should_stop or self.seconds_left() == 0
