"""Averaged weights: what is validated and kept is the mean of the weights of many steps."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gatewise.interchange.identity import declare_as, identities_of
from gatewise.tasks.module import TaskModule
from gatewise.tasks.training_options import TrainingOptions


class AverageWeights(Callback):
    """Keeps the average of the model's weights, which takes their place while the model is validated.

    ``ema`` is an exponential moving average. Its decay begins small, (1 + n) / (10 + n) after n steps, so that the
    initial weights do not linger. ``mean`` is the mean over the steps from an epoch on (Polyak & Juditsky 1992).

    Args:
        module: the model in training.
        options: what to average.
    """

    def __init__(self, module: TaskModule, options: TrainingOptions) -> None:
        self._module = module
        self._average_kind, self._decay, self._from = options.average, options.average_decay, options.average_from
        self._average: AveragedModel | None = None
        self._saved: dict[str, Any] | None = None
        self._swapped = False
        self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights there are, or with the average of a run that is resumed."""
        moving = self._ema if self._average_kind == "ema" else None
        self._average = AveragedModel(self._module.model, multi_avg_fn=moving, use_buffers=False)
        if self._saved is not None:
            early = not identities_of(self._saved)  # see TaskModule.on_load_checkpoint
            self._average.load_state_dict(declare_as(self._saved, self._average) if early else self._saved)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the weights into the average, where the batch ended a step."""
        assert self._average is not None
        ended = trainer.global_step > self._steps and trainer.current_epoch + 1 >= self._from
        self._steps = trainer.global_step
        if ended:
            self._average.update_parameters(self._module.model)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in the place of the weights, once there is one."""
        if self._average is not None and int(self._average.n_averaged) > 0:
            self._swap()
            self._swapped = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the weights back."""
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the weights back."""
        self._restore()

    def state_dict(self) -> dict[str, Any]:
        """The average."""
        assert self._average is not None
        return {"average": self._average.state_dict(), "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until training starts."""
        self._saved, self._steps = state_dict["average"], state_dict["steps"]

    def _ema(self, averaged: Any, current: Any, count: Any) -> None:
        seen = float(count)
        get_ema_multi_avg_fn(min(self._decay, (1 + seen) / (10 + seen)))(averaged, current, count)

    def _restore(self) -> None:
        if self._swapped:
            self._swap()
            self._swapped = False

    def _swap(self) -> None:
        assert self._average is not None
        for mine, other in zip(_weights(self._module.model), _weights(self._average.module), strict=True):
            kept = mine.detach().clone()
            mine.data.copy_(other)
            other.data.copy_(kept)


def _weights(model: nn.Module) -> list[Tensor]:
    return list(model.parameters())
