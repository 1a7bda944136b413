"""``gatewise train``: one subcommand per task."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import App, Parameter

from gatewise.cli.tables import scores_table
from gatewise.extras import require
from gatewise.tasks.options import choose
from gatewise.tasks.task_names import options_of


class _Command(NamedTuple):
    """The help and closing output of a task's command.

    Attributes:
        help: the help text.
        predictions: example arguments of ``gatewise predict FOLDER``.
        data: required data arguments, for the example in the help.
        output: text about a trained model besides its scores.
    """

    help: str
    predictions: tuple[str, ...]
    data: str = ""
    output: Callable[[Any], str] | None = None


_COMMANDS = {
    "lm": _Command(
        "Train a language model on text: the next character, word or byte pair.",
        ('--prompt "The " --temperature 0.7', '--prompt "The " --next 5'),
        output=lambda trained: f"sample:\n{trained.generate(length=300, temperature=0.8, seed=0)}",
    ),
    "classify": _Command(
        "Train a classifier on texts with labels: sentiment, topic, kind of question.",
        ("texts.txt", "texts.csv --out labels.csv"),
    ),
    "tag": _Command(
        "Train a tagger on words with tags: parts of speech, named entities; or on characters.",
        ("sentences.txt", "words.conllu --out tags.conll"),
    ),
    "seq2seq": _Command(
        "Train on pairs of texts, to write the second for the first: translation, summaries, normal forms.",
        ("sources.txt", "sources.txt --beam 1 --out answers.txt"),
    ),
    "numeric": _Command(
        "Train on sequences of numbers, many at each step: label them, label their steps, or predict the next step.",
        ("sequences.csv", "sequences.csv --out answers.csv"),
        data="--data motions.csv ",
    ),
    "forecast": _Command(
        "Train on time series, one or many: forecast the steps to come, with intervals.",
        ("history.csv --format csv", "history.csv --follow"),
        output=lambda trained: (
            f"forecasts: {', '.join(str(path) for path in sorted(trained.folder.path.glob('forecasts_*.png')))}"
        ),
    ),
}


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


def _add(name: str, task: _Command) -> None:
    kind = options_of(name)

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
        if task.output is not None:
            print(f"\n{task.output(trained)}")
        print(f"\nlearning curve: {folder / 'plot.png'}\nnext commands to try:\n  gatewise evaluate {folder}")
        for words in task.predictions:
            print(f"  gatewise predict {folder} {words}")

    command.__annotations__["options"] = Annotated[_explicit_only(kind), Parameter(name="*")]
    train.command(command, name=name, help=task.help, help_epilogue=_epilogue(name, task.data))


for _name, _task in _COMMANDS.items():
    _add(_name, _task)


def _trained(name: str, given: dict[str, Any], config: Path | None, resume: Path | None) -> Any:
    require("gatewise train", "tasks")
    began_at = time.monotonic()
    if resume is not None:
        _check_resumed(given, config)
    options = choose(options_of(name), given, config)

    from gatewise.tasks import running
    from gatewise.tasks.task import task_of

    task = task_of(name)
    trained = (
        running.start(task, options, began_at)
        if resume is None
        else running.resume(task, resume, options.max_minutes, began_at, options.devices, options.num_nodes)
    )
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
