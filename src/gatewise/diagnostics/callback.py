"""`watch` as a Lightning callback."""

from contextlib import ExitStack
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from gatewise.diagnostics.trace import Trace
from gatewise.diagnostics.watching import new_trace
from gatewise.layers.clipping import Clipped, report_clipping


class Watch(Callback):
    """Watch a module while Lightning trains it.

    Args:
        every: watch every n-th batch.
        gates, keep: as in `gatewise.watch`.
        log: whether to log the norm of each state's gradient, overall and at the first and last step, the norm of the
            whole gradient before clipping, and whether it was clipped, to the run's loggers.
        saturation: whether to log the fraction of saturated values of each gate too; recomputes the gates.
        stop: whether to raise at the first NaN or infinite value, naming the layer and the step.

    Attributes:
        trace: the `Trace`, during and after training; None before.
        values: the logged values of the last batch, by name; empty if it was not watched.

    Raises:
        ValueError: for an ``every`` below 1; in training, as `gatewise.watch`, and for values that are not finite.

    >>> import gatewise
    >>> from lightning.pytorch import Trainer
    >>> watch = gatewise.Watch(every=50)
    >>> trainer = Trainer(
    ...     callbacks=[watch], max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
    ... )
    """

    def __init__(
        self,
        every: int = 1,
        *,
        gates: bool = False,
        keep: int = 1,
        log: bool = True,
        saturation: bool = False,
        stop: bool = True,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every: expected a number of batches of at least 1, got {every!r}")
        self.every, self.gates, self.keep, self.log, self.stop = every, gates, keep, log, stop
        self.saturation = saturation
        self.values: dict[str, float] = {}
        self.trace: Trace | None = None
        self._recording = ExitStack()
        self._active = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's hook."""
        self.trace = new_trace(pl_module, gates=self.gates, keep=self.keep)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Lightning's hook."""
        assert self.trace is not None
        self.values = {}
        if batch_idx % self.every == 0:
            self._recording.enter_context(self.trace.recording())
            self._active = True

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's hook."""
        if not self._active or not self.stop:
            return
        assert self.trace is not None
        bad = self.trace.first_not_finite
        if bad is not None:
            raise ValueError(
                f"training diverged at update {trainer.global_step + 1}: the first {bad.what} that is NaN or infinite "
                f"is that of {bad.location} at step {bad.step}; try a smaller learning rate, or clip gradients"
            )

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Lightning's hook, before clipping."""
        if not self._active:
            return
        parameters: list[Tensor] = [one for group in optimizer.param_groups for one in group["params"]]
        gradients = [one.grad for one in parameters if one.grad is not None]
        limit, norm = trainer.gradient_clip_val, float(nn.utils.get_total_norm(gradients))
        if limit is not None:
            by_value = trainer.gradient_clip_algorithm == "value"
            fraction = _fraction_beyond(gradients, limit) if by_value else 0.0
            report_clipping(
                parameters, Clipped(norm, fraction > 0 if by_value else not norm <= limit, {"": norm}, fraction)
            )
        self.values["gradient_norm"] = norm
        if limit is not None and self.trace is not None and self.trace.clips:
            self.values["clipped"] = float(self.trace.clips[-1].clipped)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Lightning's hook."""
        if not self._active:
            return
        self._end()
        if self.trace is not None and self.trace.passes and self.trace.passes[-1].reached:
            self.values |= self._summary(self.trace)
        if self.log:
            pl_module.log_dict(self.values)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Lightning's hook."""
        self._end()

    def _summary(self, trace: Trace) -> dict[str, float]:
        values: dict[str, float] = {}
        for key, norms in trace.gradient_flow().items():
            parts = {"": norms.norm(), ".first": norms[0], ".last": norms[-1]}
            values |= {f"gradient.{key}{name}": float(value) for name, value in parts.items()}
        if self.saturation:
            values |= {f"saturated.{key}": one.total for key, one in trace.saturation().items()}
        return values

    def _end(self) -> None:
        self._active = False
        self._recording.close()


def _fraction_beyond(gradients: list[Tensor], limit: float) -> float:
    counts = [int((gradient.abs() > limit).sum()) for gradient in gradients]
    return sum(counts) / max(1, sum(map(torch.Tensor.numel, gradients)))
