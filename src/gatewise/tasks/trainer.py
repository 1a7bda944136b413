"""Training with Lightning, the same for every task: set-up, callbacks, resuming from a saved state."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from gatewise.data.batches import Batches
from gatewise.diagnostics.callback import Watch
from gatewise.progress import clock, say
from gatewise.tasks import world
from gatewise.tasks.averaging import AverageWeights
from gatewise.tasks.best_weights import BestWeights
from gatewise.tasks.exchange import Exchange, LauncherEnvironment, Processes
from gatewise.tasks.interruption import Interrupted, deferred_interrupt
from gatewise.tasks.learning_curve import plot_learning_curve
from gatewise.tasks.metrics_file import MetricsFile
from gatewise.tasks.module import TaskModule
from gatewise.tasks.patience import PatientEarlyStopping
from gatewise.tasks.run_folder import RunFolder
from gatewise.tasks.schedules import DecayOnPlateau
from gatewise.tasks.speed import Speed
from gatewise.tasks.state_file import SaveState, StateFile
from gatewise.tasks.tensorboard_log import TensorBoardLog
from gatewise.tasks.time_limit import TimeLimit
from gatewise.tasks.training_options import TrainingOptions
from gatewise.tasks.training_progress import TrainingProgress

Ending = Literal["epochs", "patience", "max_minutes"]

_PRECISION: dict[str, Any] = {"32": "32-true", "64": "64-true", "bf16-mixed": "bf16-mixed"}


def fit(
    module: TaskModule,
    training: Batches,
    options: TrainingOptions,
    folder: RunFolder,
    weight_facts: Mapping[str, str],
    limit: TimeLimit,
) -> Ending:
    """Train a model, from the state in the run folder if there is one.

    Metrics, the state, the best weights and, at the end, the learning curve are left in the folder. Of several
    processes each trains on its part of every batch, and the main one writes the folder.

    Args:
        module: the model in training.
        training: the batches of an epoch, of several processes the part of each that this one has.
        options: the resolved options.
        folder: the run folder.
        weight_facts: what the file of weights is to say about them.
        limit: the limit on the time of the run, which has the held-out data.

    Returns:
        why training ended.

    Raises:
        ValueError: when training diverges, or the saved state is corrupt or of another model.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
        OSError: when the run folder cannot be written.
    """
    module.time_used = limit.fraction
    patience = PatientEarlyStopping(options.patience)
    total_steps = options.steps(len(training))
    # The module reports steps that diverge, watched or not.
    watch = None if options.watch is None else Watch(options.watch, log=False, saturation=True, stop=False)
    speed = Speed(module)
    exchange = Exchange()
    decisions: list[Callback] = [
        limit,
        *([DecayOnPlateau(options.decay)] if options.schedule == "plateau" else []),
        patience,
    ]
    records: list[Callback] = [
        *([] if watch is None else [watch]),
        speed,
        MetricsFile(folder.metrics, module, speed, watch),
        *([TensorBoardLog(folder.tensorboard, module, speed, watch)] if options.logger == "tensorboard" else []),
    ]
    reports: list[Callback] = [
        BestWeights(folder.weights, weight_facts),
        TrainingProgress(module, total_steps, limit, exchange),
    ]
    callbacks = [limit, *records, *decisions[1:], *reports] if world.is_main() else decisions
    if options.average != "none":  # after whatever looks at the weights that were validated
        callbacks = [*callbacks, AverageWeights(module, options)]
    here = world.rank_info()
    environment = [] if here is None else [LauncherEnvironment(here)]
    processes: dict[str, Any] = {"devices": 1}
    if here is not None:
        processes = {"devices": world.device_index(here) + 1, "strategy": Processes(exchange)}
    with deferred_interrupt() as interruption, _quiet():
        trainer = Trainer(
            accelerator=options.device,
            **processes,
            precision=_PRECISION[options.precision],
            max_epochs=options.epochs,
            gradient_clip_val=options.clip_norm or options.clip_value,
            gradient_clip_algorithm="norm" if options.clip_norm else "value",
            accumulate_grad_batches=options.accumulate,
            callbacks=[*callbacks, SaveState(folder.state, interruption, options.seed)],
            plugins=[StateFile(options.epochs), *environment],
            default_root_dir=folder.path,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        state = folder.state if world.from_main(folder.state.exists()) else None
        try:
            trainer.fit(module, training, limit.batches, ckpt_path=state, weights_only=True)
        except Interrupted:
            if world.is_main():
                plot_learning_curve(folder.metrics, folder.plot, module.measure)
            raise
    if world.is_main():
        plot_learning_curve(folder.metrics, folder.plot, module.measure)
    say(f"training has ended; scoring the best weights, about {clock(limit.final_seconds)}")
    if patience.has_ended:
        return "patience"
    return "epochs" if trainer.global_step >= total_steps else "max_minutes"


def check_devices(device: str, devices: int) -> None:
    """Check that every process of this machine has a device.

    Raises:
        ValueError: when there are too few GPUs.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda was asked for, but torch finds no CUDA device; try auto or cpu")
    count = torch.cuda.device_count() if device != "cpu" else 0
    if (
        count and devices > count and not (count == 1 and world.rank_info() is not None)
    ):  # a launcher may show each its own
        raise ValueError(
            f"devices: {devices} GPUs were asked for, and torch finds {count}; --device cpu trains on the processor"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's notes and advice, none of which the user could follow from here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
