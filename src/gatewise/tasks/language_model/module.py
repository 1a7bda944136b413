"""The language model in training: truncated back-propagation through time over contiguous streams."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.data.streams import NO_TARGET, Window
from gatewise.models.language_model import LanguageModel, State, detach
from gatewise.progress import say
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.measure import Measure
from gatewise.tasks.module import TaskModule


class LanguageModelModule(TaskModule):
    """One window per step; the state is carried to the next window without its history, and is zero at epoch start.

    The held-out loss is that of one stream from a zero state, as `evaluate` has it.
    """

    model: LanguageModel

    def __init__(self, model: LanguageModel, options: LanguageModelOptions, measure: Measure, total_steps: int) -> None:
        super().__init__(model, options, measure, total_steps)
        self._window_shape = options.window, options.batch
        self._sum_over_time = options.loss_reduction == "sum-over-time"
        self._carried: State | None = None
        self._carried_in: State | None = None
        self._held_out_state: State | None = None
        self._held_out_nats = 0.0
        self._held_out_tokens = 0

    def units(self, batch: Window) -> float:
        """The predictions in a window, in characters or words."""
        return int((batch.targets != NO_TARGET).sum()) * self.measure.units_per_token

    def training_step(self, batch: Window, batch_idx: int) -> Tensor:
        """Lightning's hook: the loss of a window."""
        self._carried_in = None if batch_idx == 0 else self._carried
        nats, state = self._nats(batch, self._carried_in)
        self._carried = detach(state)
        mean = nats / (batch.targets != NO_TARGET).sum()
        self.loss = float(mean.detach())
        return nats / batch.targets.shape[1] if self._sum_over_time else mean

    def rewind(self) -> None:
        """Carry the state that the last step began with."""
        self._carried = self._carried_in

    def validation_step(self, batch: Window, batch_idx: int) -> None:
        """Lightning's hook: add up the loss of the held-out windows."""
        if batch_idx == 0:
            self._held_out_state, self._held_out_nats, self._held_out_tokens = None, 0.0, 0
        nats, self._held_out_state = self._nats(batch, self._held_out_state)
        self._held_out_nats += float(nats)
        self._held_out_tokens += int((batch.targets != NO_TARGET).sum())

    def on_validation_epoch_end(self) -> None:
        """Lightning's hook: log the held-out loss."""
        self.log_held_out(self._held_out_nats / self._held_out_tokens)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: the carried state belongs to the saved state."""
        checkpoint["carried_state"] = self._carried

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: take it back."""
        self._carried = checkpoint["carried_state"]

    def on_train_start(self) -> None:
        """Lightning's hook: a carried state that was read from a file goes to the device; say what computes there."""
        if isinstance(self._carried, Tensor):
            self._carried = self._carried.to(self.device)
        elif self._carried is not None:
            self._carried = tuple(part.to(self.device) for part in self._carried)
        window = self.model.embedding(torch.zeros(self._window_shape, dtype=torch.int64, device=self.device))
        backend = self.model.recurrent.backend_for(window)
        say(f"backend: {backend.name} ({backend.reason}) on {self.device}")

    def _nats(self, window: Window, state: State | None) -> tuple[Tensor, State]:
        logits, after = self.model(window.inputs, state)
        targets = window.targets.flatten()
        nats = functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=NO_TARGET, reduction="sum")
        return nats, after
