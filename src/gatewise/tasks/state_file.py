"""The state of a training run on the disk: written atomically and often, read without executing anything."""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from gatewise.progress import say
from gatewise.tasks import world
from gatewise.tasks.interruption import Interrupted, Interruption
from gatewise.tasks.module import TaskModule
from gatewise.tasks.weights_file import Shape
from gatewise.writing import atomic_write

FORMAT, VERSION = "gatewise-state", 1

SAVE_EVERY_SECONDS = 30.0


class StateFile(TorchCheckpointIO):
    """Lightning's checkpoints as one file with a format name and version.

    Args:
        epochs: how many epochs the run has in all.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write the file, complete or not at all."""
        buffer = io.BytesIO()  # torch.save hides a full disk behind an error of its own
        torch.save({**checkpoint, "format": FORMAT, "version": VERSION}, buffer)
        with atomic_write(path) as file:
            file.write(buffer.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the file in the main process, whose disk has the latest one, for all; see `read_state`.

        Raises:
            ValueError: when the run has made more epochs already than it has in all.
        """
        state = world.from_main(read_state(Path(path)) if world.is_main() else {})
        if state["epoch"] > self._epochs:
            raise ValueError(f"epochs: the run has made {state['epoch']} epochs already ({path}), got {self._epochs}")
        return state


def read_state(path: Path) -> dict[str, Any]:
    """The saved state of a run.

    Raises:
        ValueError: when the file is corrupt, or not such a state.
        OSError: when it cannot be read.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
        found = state["format"], state["version"]
    except Exception:  # torch.load raises nearly anything on a file that it did not write
        raise ValueError(f"{path}: not the training state of a run, or a corrupt one") from None
    if found != (FORMAT, VERSION):
        raise ValueError(f"{path}: expected {FORMAT} version {VERSION}, got {found[0]} version {found[1]}")
    return state


def read_state_shapes(path: Path) -> dict[str, Shape]:
    """The shapes of the weights in the saved state of a run, by their names in the model.

    Raises:
        ValueError, OSError: see `read_state`.
    """
    weights = read_state(path)["state_dict"]
    return {name.removeprefix("model."): tuple(weight.shape) for name, weight in weights.items()}


class SaveState(Checkpoint):
    """Saves after the step that ends the 30th second since the last time, after each epoch, and before stopping.

    Only whole steps are saved, together with the state of torch's random number generators in every process, so a run
    that resumes from the file computes what the uninterrupted run would have computed. With another number of
    processes the generators begin anew: which units are dropped is drawn anew, and sums are rounded differently.

    Args:
        path: the file.
        interruption: whether the user has asked to stop.
        seed: of the generators of the processes beside the first, in a new run.
    """

    def __init__(self, path: Path, interruption: Interruption, seed: int) -> None:
        self._path = path
        self._seed = seed
        self._interruption = interruption
        self._saved_at = time.monotonic()
        self._random_states: list[list[Tensor]] = []
        self._batches: dict[str, Any] | None = None
        self._flags: Callable[[], list[float]] = lambda: [0.0, 0.0]

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the place among the batches until training starts."""
        self._batches = next(iter(checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", [])), None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set batches and random number generators as they were; at first, and for others than before, by the seed."""
        if self._batches is not None:  # Lightning sets them only inside an epoch, not at its end
            batches: Any = trainer.train_dataloader
            batches.load_state_dict(self._batches)
        saved, processes = self._random_states, world.size()
        if len(saved) == processes:
            torch.set_rng_state(saved[world.rank()][0])
            torch.cuda.set_rng_state_all(saved[world.rank()][1:])
            return
        if saved:
            say(
                f"the saved state is of {_processes(len(saved))}, and {_processes(processes)} resume it: random "
                "numbers (dropout) are drawn anew, and sums are rounded differently"
            )
        if saved or world.rank() > 0:
            torch.manual_seed((self._seed + 1_000_003 * world.rank() + 7919 * trainer.global_step) % 2**63)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to ask all processes whether to save and whether to stop, while the optimizer steps."""
        if world.size() > 1 and self._decides_after(trainer, pl_module):
            self._flags = world.begin_add(*self._own_flags())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time; stop if asked to. The last step of an epoch waits for the end of the epoch."""
        if not self._decides_after(trainer, pl_module):
            return
        due, interrupted = self._own_flags() if world.size() == 1 else map(bool, self._flags())
        if due or trainer.should_stop or interrupted:
            self._save(trainer)
        if interrupted:
            raise Interrupted

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save a whole epoch, with its held-out score; where the time was up inside one, its last step is saved."""
        if trainer.is_last_batch:
            self._save(trainer)
        if world.any_of(self._interruption.requested)[0]:
            raise Interrupted

    def state_dict(self) -> dict[str, Any]:
        """The states of the random number generators of each process: the processor's, then each GPU's."""
        return {"random": world.gather([torch.get_rng_state(), *torch.cuda.get_rng_state_all()])}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep them until training starts."""
        found = state_dict["random"]
        # Earlier versions had those of one process.
        self._random_states = [found] if isinstance(found[0], Tensor) else found

    def _own_flags(self) -> tuple[bool, bool]:
        """Whether this process wants to save, which the main one decides, and to stop."""
        due = time.monotonic() - self._saved_at >= SAVE_EVERY_SECONDS
        return due and world.is_main(), self._interruption.requested

    @staticmethod
    def _decides_after(trainer: Trainer, module: LightningModule) -> bool:
        """Whether the state can be saved after this batch."""
        if trainer.is_last_batch:  # from here, Lightning would continue without the epoch's held-out score
            return False
        return not isinstance(module, TaskModule) or module.ended_step

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self._path, weights_only=False)
        self._saved_at = time.monotonic()


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
