"""Training from options, or on from a run folder: the same for every task."""

import dataclasses
import json
import time
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from gatewise.formatting import format_bytes
from gatewise.progress import Progress, say
from gatewise.tasks import processes, world
from gatewise.tasks.builtin_data import is_builtin
from gatewise.tasks.cells import cell_of, is_cell
from gatewise.tasks.checkpoint_io import check_unchanged, check_vocabulary, read_options
from gatewise.tasks.kept_data import check_can_be_kept, files_of, naming_copies
from gatewise.tasks.memory import check_fits, check_recurrent_fits, required_memory
from gatewise.tasks.model_card import write_run_card
from gatewise.tasks.options import to_toml
from gatewise.tasks.run_folder import RunFolder, check_unused, new_run, unused
from gatewise.tasks.task import Job, Task
from gatewise.tasks.tensorboard_log import check_logger
from gatewise.tasks.threads import limited_threads
from gatewise.tasks.time_limit import TimeLimit
from gatewise.tasks.trained import Trained
from gatewise.tasks.trainer import check_devices, fit
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
        ChildProcessError: when one of several processes dies.
    """
    began_at = time.monotonic() if began_at is None else began_at
    cell = cell_of(options.cell)
    check_logger(options.logger)
    check_devices(options.device, _local_processes(options))
    check_can_be_kept(options)
    if _starts_processes(options):
        out = options.out or unused(f"{task.name}-{cell.name}")
        check_unused(out)
        _in_processes(task, dataclasses.replace(options, out=out), out, None, None, began_at)
        return task.load(out)
    with limited_threads(options.threads), world.joined(options), ExitStack() as stack:
        out = world.from_main(options.out or unused(f"{task.name}-{cell.name}"))
        if world.is_main():
            check_unused(out)
        check_recurrent_fits(options)
        with Progress("preparing"):
            job = _checked(task.prepare(options, None))
        kept = files_of(job.options)
        made = new_run(
            out,
            task.name,
            to_toml(_absolute(job.options), job.options.unused()),
            job.vocabulary,
            {"cell": cell.text, "source": "kept in the run folder" if kept else job.source, "sha256": job.hashes},
            kept,
        )
        folder = stack.enter_context(made) if world.is_main() else RunFolder(out)
        return _train(task, job, folder, began_at)


def resume(
    task: Task,
    path: Path,
    max_minutes: float | None = None,
    began_at: float | None = None,
    devices: int | None = None,
    num_nodes: int | None = None,
) -> Trained:
    """Resume a run from its last saved state, as if it had never stopped.

    Args:
        task: what the run is expected to be.
        path: the run folder.
        max_minutes: a new limit on the time of the run, counted from its beginning.
        began_at: as for `start`.
        devices, num_nodes: where other than before, or decided by a launcher.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or the data has changed.
        OSError: when a file cannot be read or written.
        KeyboardInterrupt: after Ctrl-C, with the state saved.
        ChildProcessError: when one of several processes dies.
    """
    began_at = time.monotonic() if began_at is None else began_at
    folder = RunFolder(path)
    options: Any = read_options(folder, task.name)
    check_vocabulary(folder)
    check_logger(options.logger)
    if max_minutes is not None:
        options = dataclasses.replace(options, max_minutes=max_minutes)
    if world.rank_info() is not None:  # the launcher decides anew
        options = dataclasses.replace(options, devices=devices, num_nodes=num_nodes)
    elif devices is not None or num_nodes is not None:
        options = dataclasses.replace(
            options, devices=devices or options.devices, num_nodes=num_nodes or options.num_nodes
        )
    check_devices(options.device, _local_processes(options))
    if folder.scores.exists() and folder.read_scores()["ended_by"] != "max_minutes":
        here = world.rank_info()
        if here is not None and here.rank > 0:
            raise SystemExit(0)
        say(f"{path}: training already finished; nothing to resume")
        return task.load(path)
    if _starts_processes(options):
        _in_processes(task, options, path, path, max_minutes, began_at)
        return task.load(path)
    with limited_threads(options.threads), world.joined(options):
        with Progress("preparing"):
            job = _checked(check_unchanged(folder, task.prepare(options, folder)))
        return _train(task, job, folder, began_at)


def _checked(job: Job) -> Job:
    """The job, with the part of every batch that this process trains on, if it fits into memory beside the model."""
    _check_same(job)
    job = dataclasses.replace(job, training=job.training.share(world.rank(), world.size()))
    need = required_memory(job.module.model, job.options, job.training.most_steps)
    check_fits(job.module.model, need, job.options)
    return job


def _check_same(job: Job) -> None:
    """Check that all processes read the same data, and have the same options but for paths and devices.

    Raises:
        ValueError: when they do not.
    """
    own = {"devices", "num_nodes", "device", "out"}
    options = {name: value for name, value in vars(job.options).items() if name not in own and not _has_path(value)}
    mine = {
        "options": options,
        "data (SHA-256)": dict(job.hashes),
        "vocabulary (SHA-256)": sha256(job.vocabulary.encode()).hexdigest(),
    }
    found = world.gather(mine)
    for rank, other in enumerate(found):
        for name, value in other.items():
            if value != found[0][name]:
                raise ValueError(
                    f"process {rank} has another {name} than process 0: {value} and {found[0][name]}; start all with "
                    "the same options, data, and versions of Python and gatewise"
                )


def _has_path(value: Any) -> bool:
    return isinstance(value, Path) or (isinstance(value, tuple) and any(map(_has_path, value)))


def _starts_processes(options: TrainingOptions) -> bool:
    """Whether the options ask for several processes, and no launcher has started them."""
    return world.rank_info() is None and (options.devices or 1) * (options.num_nodes or 1) > 1


def _local_processes(options: TrainingOptions) -> int:
    """The processes on this machine, as far as this one knows."""
    here = world.rank_info()
    return (options.devices or 1) if here is None else max(here.local_size or 1, here.local_rank + 1)


def _in_processes(
    task: Task, options: TrainingOptions, out: Path, resumed: Path | None, max_minutes: float | None, began_at: float
) -> None:
    """Train in processes that this one starts.

    Raises:
        ChildProcessError: when one dies; with a hint how to resume, where that is possible.
        SystemExit: when training has ended and this is not the machine with the run folder.
    """
    devices, here = options.devices or 1, processes.machine(options.num_nodes or 1)
    request = processes.Request(task.name, dict(vars(options)), resumed, max_minutes, began_at)
    try:
        processes.run(request, devices, here)
    except ChildProcessError as error:
        what, _, _ = str(error).partition(";")
        if here.number > 0:
            raise
        if RunFolder(out).state.exists():
            raise ChildProcessError(f"{what}; to resume: gatewise train {task.name} --resume {out}") from None
        raise ChildProcessError(f"{what}, before its state was saved") from None
    if here.number > 0:
        say("training has ended; machine 0 has the run folder")
        raise SystemExit(0)


def _train(task: Task, job: Job, folder: RunFolder, began_at: float) -> Trained:
    say(f"{_summary(job)}\nrun folder: {folder.path}")
    has_weights = world.from_main(folder.weights.exists())
    held_out = job.held_out.deal(world.rank(), world.size())
    final_cost = job.final_cost * len(job.held_out) / max(len(held_out), 1)  # the main process scores alone
    limit = TimeLimit(job.options.max_minutes, began_at, has_weights, held_out, final_cost, job.search)
    try:
        facts = vocabulary_fact(job.vocabulary.encode())
        ended_by = fit(job.module, job.training, job.options, folder, facts, limit)
    except KeyboardInterrupt:
        if folder.state.exists():
            say(f"stopped; to resume: gatewise train {task.name} --resume {folder.path}")
        raise
    is_main = world.is_main()
    world.leave()
    if not is_main:
        raise SystemExit(0)  # what follows is done once
    with Progress("scoring the best weights"):
        trained = task.load(folder.path)
        if folder.scores.exists() and not limit.made_steps:
            say("no step was made; the scores are as before")
            return trained
        share = limit.share_to_score()
        scored = job.scored if share == 1 else trained.subsample(job.scored, share)
        scores = {"ended_by": ended_by, "scores": trained.finish(scored)}
    with atomic_write(folder.scores) as file:
        file.write((json.dumps(scores, indent=1) + "\n").encode())
    write_run_card(folder, trained.model)
    return trained


def _summary(job: Job) -> str:
    parameters = sum(parameter.numel() for parameter in job.module.model.parameters())
    need = required_memory(job.module.model, job.options, job.training.most_steps)
    options = to_toml(job.options, job.options.unused()).splitlines()
    chosen = (line for line in options if not is_cell(line.partition(" = ")[0]))
    cells = [value for name, value in vars(job.options).items() if is_cell(name) and value is not None]

    return "\n".join(
        (
            f"data: {job.source}",
            *(f"sha256 of {name}: {value}" for name, value in job.hashes.items()),
            *job.facts,
            f"model: {' and '.join(cell_of(cell).name for cell in cells)}, {parameters:,} parameters",
            f"memory: at least {format_bytes(need.parameters)} for parameters, gradients and the optimiser, "
            f"{format_bytes(need.batch)} for a batch",
            f"training: {job.options.epochs} epochs of {job.options.steps(len(job.training)) // job.options.epochs:,} "
            f"steps{_sharing(job)}",
            f"options: {', '.join(chosen)}",
        )
    )


def _sharing(job: Job) -> str:
    """How several processes train together."""
    if world.size() == 1:
        return ""
    return f", in {world.size()} processes, which share each batch of {job.options.batch}"


def _absolute(options: TrainingOptions) -> TrainingOptions:
    """The options to keep: files by their full names, and no output folder, which another run cannot use again."""
    changed: dict[str, Any] = {}
    kept = naming_copies(options) if options.keep_data else options
    for name, hint in get_type_hints(type(options)).items():
        value = getattr(kept, name)
        if get_origin(hint) is tuple and get_args(hint)[0] is Path:
            changed[name] = tuple(path if is_builtin(path) or options.keep_data else path.resolve() for path in value)
        elif isinstance(value, Path):
            changed[name] = value.resolve() if value == getattr(options, name) else value
    return dataclasses.replace(options, **{**changed, "out": None})
