"""When to stop training: after some epochs without a better held-out score."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from gatewise.tasks.training_options import Patience

# Of patience "auto": as many epochs as up to the best, and within these.
_MIN_EPOCHS, _MAX_EPOCHS = 3, 10


def epochs_to_wait(patience: Patience, best: int) -> int:
    """How many epochs without a better score end the training, after the best one, counted from 1.

    >>> [epochs_to_wait("auto", best) for best in (1, 6, 20)], epochs_to_wait(8, 2)
    ([3, 6, 10], 8)
    """
    if patience == "auto":
        return min(max(_MIN_EPOCHS, best), _MAX_EPOCHS)
    return 2**62 if patience is None else patience


class PatientEarlyStopping(EarlyStopping):
    """Stops after `epochs_to_wait`.

    Args:
        patience: the option.
    """

    def __init__(self, patience: Patience) -> None:
        super().__init__("criterion", patience=epochs_to_wait(patience, 1), check_finite=False)
        self._option: Patience = patience

    @property
    def has_ended(self) -> bool:
        """Whether it has stopped the training."""
        return self.wait_count >= self.patience

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's hook: compare the score of the epoch with the best."""
        self.patience = epochs_to_wait(self._option, trainer.current_epoch - self.wait_count)
        super().on_train_epoch_end(trainer, pl_module)
