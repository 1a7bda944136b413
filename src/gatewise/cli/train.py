"""``gatewise train``: one subcommand per task."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from gatewise.cli.tables import scores_table
from gatewise.extras import require
from gatewise.tasks.command import command_of
from gatewise.tasks.task_names import names, options_of

if TYPE_CHECKING:
    from gatewise.tasks.trained import Trained


def _epilogue(task: str, data: str = "") -> str:
    run = "runs/first" if task == "lm" else f"runs/{task}"
    return f"Try:\n  gatewise train {task} {data}--max-minutes 2 --out {run}\n  gatewise train {task} --resume {run}"


def _explicit_only(kind: type) -> type:
    """A subclass of an options class that holds only explicitly given values, without defaults."""

    class Explicit(kind):
        def __init__(self, **values: Any) -> None:
            object.__setattr__(self, "explicit", values)

    return Explicit


train = App(
    name="train",
    help="Train a model and leave a run folder.",
    help_epilogue=_epilogue("lm"),
    default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
)


def _add(name: str) -> None:
    task = command_of(name)

    def command(
        *,
        config: Annotated[
            Path | None, Parameter(help="TOML file with options; the command line takes precedence.")
        ] = None,
        resume: Annotated[
            Path | None, Parameter(help="Resume the run in this folder from its last saved state.")
        ] = None,
        options: Any = None,
    ) -> None:
        trained = _trained(name, {} if options is None else options.explicit, config, resume)
        folder = trained.folder.path
        if notice := trained.final_notice():
            print(f"\n{notice}")
        print(f"\nlearning curve: {folder / 'plot.png'}\nnext commands to try:\n  gatewise evaluate {folder}")
        for words in task.predictions:
            print(f"  gatewise predict {folder} {words}")

    command.__annotations__["options"] = Annotated[_explicit_only(options_of(name)), Parameter(name="*")]
    train.command(command, name=name, help=task.help, help_epilogue=_epilogue(name, task.data))


for _name in names():
    _add(_name)


def _trained(name: str, given: dict[str, Any], config: Path | None, resume: Path | None) -> "Trained":
    require("gatewise train", "tasks")
    if resume is not None:
        _check_resumed(given, config)

    from gatewise.tasks import api

    trained = api.train(name, config=config, **given) if resume is None else api.resume(resume, task=name, **given)
    print(scores_table(trained.final_scores()))
    return trained


def _check_resumed(given: dict[str, Any], config: Path | None) -> None:
    changed = sorted(
        given.keys() - {"max_minutes", "devices", "num_nodes"} | ({"config"} if config is not None else set())
    )
    if changed:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
        raise ValueError(
            f"--resume uses the options of the run: {names} cannot be changed, only --max-minutes, --devices and "
            "--num-nodes can"
        )
