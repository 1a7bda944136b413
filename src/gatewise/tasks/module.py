"""What the training of every task has in common, as Lightning sees it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from gatewise.diagnostics import watch
from gatewise.interchange.identity import declare_as, identities_of
from gatewise.layers import Recurrent
from gatewise.progress import say
from gatewise.tasks import world
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.measure import Measure
from gatewise.tasks.schedules import make_optimizer, make_schedule
from gatewise.tasks.training_options import TrainingOptions


class TaskModule(LightningModule, ABC):
    """A model in training. A task adds its steps; they call `objective_of` and `log_held_out`.

    A step has one batch or, with ``accumulate``, several; of each batch every process has a part. What is reported of a
    step is that of all.

    Attributes:
        model: the model itself; its state dict is what is kept.
        measure: how the task reports a loss.
        loss: the mean loss of the last step, in nats per token.
        ratio: the ratio of counts of the last step, for a `Measure` that is not a form of the loss.
        read: how many of the measure's units it had.
        ended_step: whether the last batch was the last one of a step.
        gradient_norm: the norm of the last step's gradient before clipping.
        learning_rate: that of the last step.
        time_used: the fraction of the time of the run that is used; 0 without a limit.
    """

    def __init__(self, model: nn.Module, options: TrainingOptions, measure: Measure, total_steps: int) -> None:
        super().__init__()
        self.model = model
        self.measure = measure
        self.loss = self.ratio = self.gradient_norm = self.learning_rate = float("nan")
        self.read = 0.0
        self.ended_step = False
        self._step_totals: list[Callable[[], list[float]]] = []
        self.time_used: Callable[[], float] = lambda: 0.0
        self._options = options
        self._total_steps = total_steps
        self._batch: tuple[Any, int] | None = None
        self._random_states: list[Tensor] = []

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: states of early versions do not name the cells of the weights; the run's options do."""
        if not identities_of(checkpoint["state_dict"]):
            checkpoint["state_dict"] = declare_as(checkpoint["state_dict"], self)

    @abstractmethod
    def units(self, batch: Any) -> float:
        """How many of the measure's units (characters, words…) a batch has."""

    @abstractmethod
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Lightning's hook: the loss of a batch."""

    def objective_of(self, batch: Any, batch_idx: int, statistics: BatchStatistics, per: float | None = None) -> Tensor:
        """What a process takes the gradient of, and begin to add up what is reported of the step.

        The gradients of all processes are added, and Lightning averages those of the batches of a step.

        Args:
            batch: the part of the batch that this process has.
            batch_idx: the number of the batch in the epoch.
            statistics: what came of it.
            per: what the sum of the loss is divided by; by default the predictions of the whole batch, for which a
                process waits here until the others have computed their parts.
        """
        units = self.units(batch) if statistics.predictions else 0.0
        loss_sum = float(statistics.loss_sum.detach())
        total = world.begin_add(loss_sum, statistics.predictions, statistics.numerator, statistics.denominator, units)
        every = self._options.accumulate
        before = batch_idx % every
        # The last step of an epoch may have fewer batches than Lightning divides by.
        of_step = every if every == 1 else min(every, int(self.trainer.num_training_batches) - (batch_idx - before))
        if before == 0:
            self._step_totals = []
        self._step_totals.append(total)
        self.ended_step = before + 1 == of_step
        objective = statistics.loss_sum if statistics.objective is None else statistics.objective
        objective = objective / (total()[1] if per is None else per)
        return objective if of_step == every else objective * (every / of_step)

    def on_after_backward(self) -> None:
        """Lightning's hook: gradients are exchanged, so what is reported of the step is there too."""
        if self.ended_step:
            *totals, self.read = map(sum, zip(*(total() for total in self._step_totals), strict=True))
            step = BatchStatistics.of_sums(*totals)
            self.loss, self.ratio = step.loss, step.ratio

    def no_objective(self) -> Tensor:
        """A loss of zero that every parameter has a gradient of, where a process has no part of a batch."""
        parts = [0 * parameter.sum() for parameter in self.model.parameters() if parameter.requires_grad]
        return torch.stack(parts).sum()

    def rewind(self) -> None:
        """Undo what the last training step changed beside gradients, so that it can be run once more."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Lightning's hook: remember what the step begins with."""
        self._batch = batch, batch_idx
        self._random_states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            self._random_states.append(torch.cuda.get_rng_state(self.device))

    @property
    def reported(self) -> float:
        """The measure of the last step."""
        return self.measure.of(self.loss, self.ratio)

    def log_held_out(self, loss: float, ratio: float = math.nan) -> None:
        """Log the score on the held-out data: ``held_out_loss``, ``held_out`` (the measure) and ``criterion``.

        The least criterion decides which weights are kept, when the rate decays and when to stop.
        """
        loss, ratio = world.from_main((loss, ratio))
        reported = self.measure.of(loss, ratio)
        found = {"held_out_loss": loss, "held_out": reported, "criterion": self.measure.criterion(loss, reported)}
        for name, value in found.items():
            self.log(name, torch.tensor(value, dtype=torch.float64))

    def configure_optimizers(self) -> Any:
        """Lightning's hook: the optimiser and the decay of its learning rate."""
        optimizer = make_optimizer(self._options, self.model)
        schedule = make_schedule(self._options, optimizer, self._total_steps, self.time_used)
        return {"optimizer": optimizer} | ({"lr_scheduler": schedule} if schedule else {})

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Lightning's hook: note the norm, then clip.

        Raises:
            ValueError: when the loss or the gradient is no longer finite, with the layer and the time step at which
                that began.
        """
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        self.gradient_norm = float(norm)
        self.learning_rate = optimizer.param_groups[0]["lr"]
        if not (math.isfinite(self.loss) and math.isfinite(self.gradient_norm)):
            raise ValueError(
                f"training diverged at step {self.global_step + 1}: loss {self.loss:g}, gradient norm "
                f"{self.gradient_norm:g}{self._where()}; try a smaller lr, or clip_norm"
            )
        assert gradient_clip_val is not None
        if gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        elif self.gradient_norm + 1e-6 > gradient_clip_val:  # else the factor would be 1
            nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)

    def say_backend(self, layer: Recurrent, x: Tensor, **options: Any) -> None:
        """Say what computes the recurrences of a step of training.

        Args:
            layer: the recurrent layer.
            x: an input of it.
            **options: as for `Recurrent.backend_for`.
        """
        with self.trainer.precision_plugin.train_step_context():
            backend = layer.backend_for(x, **options)
        say(f"backend: {backend.name} ({backend.reason}) on {self.device}")

    def _where(self) -> str:
        """Where in the network a step diverged: the step is run once more while it is watched."""
        assert self._batch is not None
        self.rewind()
        torch.set_rng_state(self._random_states[0])
        for state in self._random_states[1:]:
            torch.cuda.set_rng_state(state, self.device)
        self.zero_grad()
        with watch(self.model) as trace, self.trainer.precision_plugin.train_step_context():
            self.training_step(*self._batch).backward()
        bad = trace.first_not_finite
        found = (
            ""
            if bad is None
            else f"; the first {bad.what} that is NaN or infinite is that of {bad.location} at time step {bad.step}"
        )
        nowhere = " (every state and its gradient is finite; it began in the read-out)"
        return next(filter(None, world.gather(found)), nowhere)
