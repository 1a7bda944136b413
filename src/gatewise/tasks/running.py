"""Training from options, or on from a run folder: the same for every task."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from gatewise.progress import Progress, say
from gatewise.tasks.builtin_data import is_builtin
from gatewise.tasks.cells import cell_of, is_cell
from gatewise.tasks.fitting import check_device, fit
from gatewise.tasks.memory import check_fits, check_recurrent_fits, need_of, written
from gatewise.tasks.opening import check_vocabulary, read_options, same_data
from gatewise.tasks.options import to_toml
from gatewise.tasks.run_folder import RunFolder, check_unused, new_run, unused
from gatewise.tasks.task import Job, Task
from gatewise.tasks.tensorboard_log import check_logger
from gatewise.tasks.time_limit import TimeLimit
from gatewise.tasks.trained import Trained
from gatewise.tasks.training_options import TrainingOptions
from gatewise.tasks.weights_file import vocabulary_fact
from gatewise.writing import atomic_write


def start(task: Task, options: TrainingOptions, began_at: float | None = None) -> Trained:
    """Train a model from the beginning and leave a run folder.

    Args:
        task: what is trained.
        options: its options.
        began_at: when the command began, by `time.monotonic`, if before this call; `max_minutes` counts from there.

    Raises:
        ValueError: for bad data, an output folder that is not empty, or training that diverges.
        OSError: when a file cannot be read or written.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
    """
    began_at = time.monotonic() if began_at is None else began_at
    cell = cell_of(options.cell)
    out = options.out or unused(f"{task.name}-{cell.name}")
    check_unused(out)
    check_logger(options.logger)
    check_device(options.device)
    check_recurrent_fits(options)
    with Progress("preparing"):
        job = _checked(task.prepare(options, None))
    with new_run(
        out,
        task.name,
        to_toml(_absolute(job.options), job.options.unused()),
        job.vocabulary,
        {"cell": cell.text, "source": job.source, "sha256": job.hashes},
        job.kept,
    ) as folder:
        return _go(task, job, folder, began_at)


def resume(task: Task, path: Path, max_minutes: float | None = None, began_at: float | None = None) -> Trained:
    """Go on with a run from its last saved state, as if it had never stopped.

    Args:
        task: what the run is expected to be.
        path: the run folder.
        max_minutes: a new limit on the time of the run, counted from its beginning.
        began_at: as for `start`.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or the data has changed.
        OSError: when a file cannot be read or written.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
    """
    began_at = time.monotonic() if began_at is None else began_at
    folder = RunFolder(path)
    options: Any = read_options(folder, task.name)
    check_vocabulary(folder)
    check_logger(options.logger)
    check_device(options.device)
    if max_minutes is not None:
        options = dataclasses.replace(options, max_minutes=max_minutes)
    if folder.scores.exists() and folder.read_scores()["ended_by"] != "max_minutes":
        say(f"{path}: training has ended; nothing to go on with")
        return task.load(path)
    with Progress("preparing"):
        job = _checked(same_data(folder, task.prepare(options, folder)))
    return _go(task, job, folder, began_at)


def _checked(job: Job) -> Job:
    """The job, if its largest batch fits into memory beside the model."""
    need = need_of(job.module.model, job.options, job.training.most_steps)
    check_fits(job.module.model, need, job.options)
    return job


def _go(task: Task, job: Job, folder: RunFolder, began_at: float) -> Trained:
    say(f"{_summary(job)}\nrun folder: {folder.path}")
    has_weights = folder.weights.exists()
    limit = TimeLimit(job.options.max_minutes, began_at, has_weights, job.held_out, job.final_cost, job.search)
    try:
        facts = vocabulary_fact(job.vocabulary.encode())
        ended_by = fit(job.module, job.training, job.options, folder, facts, limit)
    except KeyboardInterrupt:
        if folder.state.exists():
            say(f"stopped; to go on: gatewise train {task.name} --resume {folder.path}")
        raise
    with Progress("scoring the best weights"):
        trained = task.load(folder.path)
        if folder.scores.exists() and not limit.made_steps:
            say("no step was made; the scores are as before")
            return trained
        share = limit.share_to_score()
        scored = job.scored if share == 1 else trained.thinned(job.scored, share)
        scores = {"ended_by": ended_by, "scores": trained.finish(scored)}
    with atomic_write(folder.scores) as file:
        file.write((json.dumps(scores, indent=1) + "\n").encode())
    return trained


def _summary(job: Job) -> str:
    parameters = sum(parameter.numel() for parameter in job.module.model.parameters())
    need = need_of(job.module.model, job.options, job.training.most_steps)
    options = to_toml(job.options, job.options.unused()).splitlines()
    chosen = (line for line in options if not is_cell(line.partition(" = ")[0]))
    cells = [value for name, value in vars(job.options).items() if is_cell(name) and value is not None]

    return "\n".join(
        (
            f"data: {job.source}",
            *(f"sha256 of {name}: {value}" for name, value in job.hashes.items()),
            *job.facts,
            f"model: {' and '.join(cell_of(cell).name for cell in cells)}, {parameters:,} parameters",
            f"memory: at least {written(need.parameters)} for parameters, gradients and the optimiser, "
            f"{written(need.batch)} for a batch",
            f"training: {job.options.epochs} epochs of {len(job.training):,} steps",
            f"options: {', '.join(chosen)}",
        )
    )


def _absolute(options: TrainingOptions) -> TrainingOptions:
    """The options to keep: files by their full names, and no output folder, which another run cannot use again."""
    changed: dict[str, Any] = {}
    for name, hint in get_type_hints(type(options)).items():
        value = getattr(options, name)
        if get_origin(hint) is tuple and get_args(hint)[0] is Path:
            changed[name] = tuple(path if is_builtin(path) else path.resolve() for path in value)
        elif isinstance(value, Path):
            changed[name] = value.resolve()
    return dataclasses.replace(options, **{**changed, "out": None})
