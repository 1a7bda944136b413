"""``gatewise train``: a command per task."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from gatewise.cli.tables import scores_table
from gatewise.tasks.classification.options import ClassificationOptions
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.language_model.options import LanguageModelOptions
from gatewise.tasks.numeric.options import NumericOptions
from gatewise.tasks.options import read_toml
from gatewise.tasks.sequence_to_sequence.options import SequenceToSequenceOptions
from gatewise.tasks.tagging.options import TaggingOptions
from gatewise.tasks.training_options import TrainingOptions


def _epilogue(task: str, data: str = "") -> str:
    run = "runs/first" if task == "lm" else f"runs/{task}"
    return f"Try:\n  gatewise train {task} {data}--max-minutes 2 --out {run}\n  gatewise train {task} --resume {run}"


def _from_config_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in, from the file that ``--config`` names, what the command line does not give."""
    given = {argument.name: argument for argument in arguments if argument.tokens}
    if "--resume" in given:
        changed = sorted(given.keys() - {"--resume", "--max-minutes"})
        if changed:
            raise ValueError(
                f"--resume goes on with the options of the run, {', '.join(changed)} cannot be given with it; "
                "only --max-minutes can"
            )
    elif "--config" in given:
        path = given["--config"].tokens[0].value
        Dict(read_toml(Path(path)), source=path, use_commands_as_keys=False)(app, commands, arguments)


train = App(
    name="train",
    help="Train a model and leave a run folder.",
    help_epilogue=_epilogue("lm"),
    config=_from_config_file,
    default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
)


@train.command(help_epilogue=_epilogue("lm"))
def lm(
    *,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[LanguageModelOptions, Parameter(name="*")] = LanguageModelOptions(),  # noqa: B008
) -> None:
    """Train a language model on text: the next character, word or byte pair.

    Parameters
    ----------
    config
        TOML file with options; those of the command line go before it.
    resume
        Go on with the run in this folder from its last saved state.
    """
    trained = _trained("lm", options, resume)
    print(f"\nsample:\n{trained.generate(length=300, temperature=0.8, seed=0)}")
    _tell_what_next(trained.folder.path, '--prompt "The " --temperature 0.7', '--prompt "The " --next 5')


@train.command(help_epilogue=_epilogue("classify"))
def classify(
    *,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[ClassificationOptions, Parameter(name="*")] = ClassificationOptions(),  # noqa: B008
) -> None:
    """Train a classifier on texts with labels: sentiment, topic, kind of question.

    Parameters
    ----------
    config
        TOML file with options; those of the command line go before it.
    resume
        Go on with the run in this folder from its last saved state.
    """
    trained = _trained("classify", options, resume)
    _tell_what_next(trained.folder.path, "texts.txt", "texts.csv --format csv --out labels.csv")


@train.command(help_epilogue=_epilogue("tag"))
def tag(
    *,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[TaggingOptions, Parameter(name="*")] = TaggingOptions(),  # noqa: B008
) -> None:
    """Train a tagger on words with tags: parts of speech, named entities; or on characters.

    Parameters
    ----------
    config
        TOML file with options; those of the command line go before it.
    resume
        Go on with the run in this folder from its last saved state.
    """
    trained = _trained("tag", options, resume)
    _tell_what_next(trained.folder.path, "sentences.txt", "words.conllu --out tags.conll")


@train.command(help_epilogue=_epilogue("seq2seq"))
def seq2seq(
    *,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[SequenceToSequenceOptions, Parameter(name="*")] = SequenceToSequenceOptions(),  # noqa: B008
) -> None:
    """Train on pairs of texts, to write the second for the first: translation, summaries, normal forms.

    Parameters
    ----------
    config
        TOML file with options; those of the command line go before it.
    resume
        Go on with the run in this folder from its last saved state.
    """
    trained = _trained("seq2seq", options, resume)
    _tell_what_next(trained.folder.path, "sources.txt", "sources.txt --beam 1 --format text --out answers.txt")


@train.command(help_epilogue=_epilogue("numeric", "--data motions.csv "))
def numeric(
    *,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[NumericOptions, Parameter(name="*")] = NumericOptions(),  # noqa: B008
) -> None:
    """Train on sequences of numbers, many at each step: label them, label their steps, or tell the next step.

    Parameters
    ----------
    config
        TOML file with options; those of the command line go before it.
    resume
        Go on with the run in this folder from its last saved state.
    """
    trained = _trained("numeric", options, resume)
    _tell_what_next(trained.folder.path, "sequences.csv", "sequences.csv --format csv --out answers.csv")


@train.command(help_epilogue=_epilogue("forecast"))
def forecast(
    *,
    config: Path | None = None,
    resume: Path | None = None,
    options: Annotated[ForecastOptions, Parameter(name="*")] = ForecastOptions(),  # noqa: B008
) -> None:
    """Train on time series, one or many: forecast the steps to come, with intervals.

    Parameters
    ----------
    config
        TOML file with options; those of the command line go before it.
    resume
        Go on with the run in this folder from its last saved state.
    """
    trained = _trained("forecast", options, resume)
    folder = trained.folder.path
    print(f"\nforecasts: {', '.join(str(path) for path in sorted(folder.glob('forecasts_*.png')))}")
    _tell_what_next(folder, "history.csv --format csv", "history.csv --follow")


def _trained(name: str, options: TrainingOptions, resume: Path | None) -> Any:
    from gatewise.tasks import running
    from gatewise.tasks.task import task_of

    task = task_of(name)
    trained = running.start(task, options) if resume is None else running.resume(task, resume, options.max_minutes)
    print(scores_table(trained.final_scores()))
    return trained


def _tell_what_next(folder: Path, *predictions: str) -> None:
    print(f"\nlearning curve: {folder / 'plot.png'}\nnext commands to try:\n  gatewise evaluate {folder}")
    for words in predictions:
        print(f"  gatewise predict {folder} {words}")
