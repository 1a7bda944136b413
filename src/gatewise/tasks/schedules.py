"""Optimisers and the decay of the learning rate."""

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LinearLR, ReduceLROnPlateau

from gatewise.tasks.training_options import TrainingOptions

_OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


def make_optimizer(options: TrainingOptions, model: nn.Module) -> Optimizer:
    """The optimiser that the options name, over all parameters of the model."""
    kind = _OPTIMIZERS[options.optimizer]
    # One pass over the weights instead of one per operation, which took a quarter of a step with a large embedding.
    # Lightning cannot clip gradients for it in mixed precision.
    fused = {"fused": True} if options.optimizer != "rmsprop" and options.precision != "bf16-mixed" else {}
    momentum = {"momentum": options.momentum} if options.momentum else {}
    return kind(model.parameters(), lr=options.lr, weight_decay=options.weight_decay, **fused, **momentum)


def make_schedule(
    options: TrainingOptions, optimizer: Optimizer, total_steps: int, time_used: Callable[[], float] = lambda: 0.0
) -> dict[str, Any] | None:
    """The decay by step or epoch, as Lightning wants it; None where there is none (the plateau is `DecayOnPlateau`).

    Args:
        options: the resolved options.
        optimizer: whose learning rate decays.
        total_steps: the steps of the whole run.
        time_used: the fraction of the time that is used, of a run with a limit: the cosine follows whichever of steps
            and time is nearer to its end.

    Raises:
        ValueError: when the warm-up is as long as the run.
    """
    warmup = options.warmup
    if warmup >= total_steps:
        raise ValueError(f"warmup: expected fewer steps than the run has, {total_steps:,}, got {warmup:,}")
    if options.schedule == "cosine":

        def cosine(step: int) -> float:
            used = max((step - warmup) / (total_steps - warmup), time_used())
            return _warmup_factor(step, warmup) * 0.5 * (1 + math.cos(math.pi * max(0.0, used)))

        return {"scheduler": LambdaLR(optimizer, cosine), "interval": "step"}
    if options.schedule == "step" and warmup:
        per_epoch = total_steps // options.epochs

        def decayed(step: int) -> float:
            return _warmup_factor(step, warmup) * options.decay ** max(0, step // per_epoch - options.decay_from + 1)

        return {"scheduler": LambdaLR(optimizer, decayed), "interval": "step"}
    if options.schedule == "step":
        return {
            "scheduler": LambdaLR(optimizer, lambda epochs: options.decay ** max(0, epochs - options.decay_from + 1)),
            "interval": "epoch",
        }
    if warmup > 1:  # each factor is of the rate before it, which the plateau may have decayed
        return {"scheduler": LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1), "interval": "step"}
    return None


def _warmup_factor(step: int, warmup: int) -> float:
    """The share of the learning rate that a step of the warm-up has, counted from 0; all after it."""
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


class DecayOnPlateau(Callback):
    """Decays the learning rate after every epoch whose held-out score is no new best.

    Lightning has the same, but applies it after the state at the end of an epoch is saved, so that a resumed run would
    miss a decay.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._plateau: ReduceLROnPlateau | None = None
        self._state: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take hold of the optimiser."""
        self._plateau = ReduceLROnPlateau(trainer.optimizers[0], factor=self._decay, patience=0, threshold=0.0)
        if self._state is not None:
            self._plateau.load_state_dict(self._state)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decay if the score is no better."""
        assert self._plateau is not None
        self._plateau.step(float(trainer.callback_metrics["criterion"]))

    def state_dict(self) -> dict[str, Any]:
        """What the next decision depends on."""
        assert self._plateau is not None
        return self._plateau.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until training starts."""
        self._state = state_dict
