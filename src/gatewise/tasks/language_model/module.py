"""The language model in training: truncated back-propagation through time over contiguous streams."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.data.batches import portion
from gatewise.data.streams import NO_TARGET, Streams, Window
from gatewise.models.language_model import LanguageModel, State, detach
from gatewise.tasks import world
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.measure import Measure
from gatewise.tasks.module import TaskModule


class LanguageModelModule(TaskModule):
    """One window per step; its state is carried to the next without its history, and is zero where the text begins.

    Each of several processes has some of the streams and carries their state. The held-out loss is that of one stream
    from a zero state, as `evaluate` has it; every process computes it.
    """

    model: LanguageModel

    def __init__(
        self, model: LanguageModel, options: LanguageModelOptions, measure: Measure, total_steps: int, training: Streams
    ) -> None:
        super().__init__(model, options, measure, total_steps)
        self._windows_of_epoch, self._windows_of_text = len(training), training.windows_of_pass
        self._window, self._streams = options.window, options.batch
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
        window = self.current_epoch * self._windows_of_epoch + batch_idx
        self._carried_in = None if window % self._windows_of_text == 0 else self._carried
        predictions = int((batch.targets != NO_TARGET).sum())
        # Added up while the network computes.
        whole = None if self._sum_over_time else world.begin_add(predictions)
        nats, state = self._nats(batch, self._carried_in)
        self._carried = detach(state)
        statistics = BatchStatistics(nats, predictions, 0, 0)
        return self.objective_of(batch, batch_idx, statistics, self._streams if whole is None else whole()[0])

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
        """Lightning's hook: the carried state of all streams belongs to the saved state."""
        parts = world.gather(_on_cpu(self._carried))
        checkpoint["carried_state"] = parts[0] if len(parts) == 1 else _side_by_side(parts)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: take back that of the streams of this process."""
        super().on_load_checkpoint(checkpoint)
        mine = portion(self._streams, world.rank(), world.size())
        self._carried = _of_each(checkpoint["carried_state"], lambda part: part[:, mine].contiguous())

    def on_train_start(self) -> None:
        """Lightning's hook: a carried state that was read from a file goes to the device; say what computes there."""
        self._carried = _of_each(self._carried, lambda part: part.to(self.device))
        streams = len(range(self._streams)[portion(self._streams, world.rank(), world.size())])
        window = self.model.embedding(torch.zeros(self._window, streams, dtype=torch.int64, device=self.device))
        self.say_backend(self.model.recurrent, window)

    def _nats(self, window: Window, state: State | None) -> tuple[Tensor, State]:
        logits, after = self.model(window.inputs, state)
        targets = window.targets.flatten()
        nats = functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=NO_TARGET, reduction="sum")
        return nats, after


def _of_each(state: State | None, change: Callable[[Tensor], Tensor]) -> State | None:
    if state is None or isinstance(state, Tensor):
        return None if state is None else change(state)
    return tuple(change(part) for part in state)


def _on_cpu(state: State | None) -> State | None:
    return _of_each(state, lambda part: part.cpu())


def _side_by_side(states: Sequence[State | None]) -> State | None:
    """The states (L, B, H) of some streams each as that of all."""
    first = states[0]
    if first is None or isinstance(first, Tensor):
        return None if first is None else torch.cat([state for state in states if isinstance(state, Tensor)], 1)
    return tuple(torch.cat(parts, 1) for parts in zip(*states, strict=True))
