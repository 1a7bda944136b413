"""Batches of whole sequences in training: the same for labels, tags, numbers, forecasts and answers."""

from collections.abc import Callable

import torch
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.models.classifier import Classifier
from gatewise.models.forecaster import Forecaster
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.models.tagger import Tagger
from gatewise.tasks import world
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.measure import Measure
from gatewise.tasks.module import TaskModule
from gatewise.tasks.training_options import TrainingOptions


class SequenceModule(TaskModule):
    """One batch per step; nothing is carried from one to the next.

    Args:
        model: the model in training.
        statistics: what comes of a batch.
        options: the options of training.
        measure: how the task reports.
        total_steps: the steps of the whole run.
    """

    model: Classifier | Tagger | SequenceToSequence | Forecaster

    def __init__(
        self,
        model: Classifier | Tagger | SequenceToSequence | Forecaster,
        statistics: Callable[[Batch], BatchStatistics],
        options: TrainingOptions,
        measure: Measure,
        total_steps: int,
    ) -> None:
        super().__init__(model, options, measure, total_steps)
        self._statistics_of = statistics
        self._held_out: BatchStatistics | None = None

    def units(self, batch: Batch) -> float:
        """The steps of all sequences."""
        return batch.steps

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Lightning's hook: the loss of a batch."""
        statistics = self._statistics_of(batch) if len(batch.lengths) else BatchStatistics(self.no_objective(), 0, 0, 0)
        return self.objective_of(batch, batch_idx, statistics)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Lightning's hook: add up what comes of the held-out batches."""
        statistics = self._statistics_of(batch) if len(batch.lengths) else BatchStatistics.sum(())
        self._held_out = statistics if batch_idx == 0 or self._held_out is None else self._held_out.plus(statistics)

    def on_validation_epoch_end(self) -> None:
        """Lightning's hook: log the held-out score."""
        assert self._held_out is not None
        found = self._held_out
        whole = BatchStatistics.of_sums(
            *world.add(float(found.loss_sum), found.predictions, found.numerator, found.denominator)
        )
        self.log_held_out(whole.loss, whole.ratio)

    def on_train_start(self) -> None:
        """Lightning's hook: say what computes."""
        recurrent = self.model.encoder.recurrent
        parameter = next(self.model.encoder.parameters())
        x = parameter.new_zeros(2, 2, recurrent.input_size)
        self.say_backend(recurrent, x, lengths=torch.tensor([2, 1]))
