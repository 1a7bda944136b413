"""The public functions. Nothing heavy is imported before one of them is called."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from gatewise.equations import Cell
from gatewise.extras import require
from gatewise.tasks.options import build, changed, choose
from gatewise.tasks.task_names import name_of, names, options_of, package_of
from gatewise.writing import as_path

if TYPE_CHECKING:
    from gatewise.kernels import Precision
    from gatewise.tasks.classification.options import ClassificationOptions
    from gatewise.tasks.classification.trained import TrainedClassifier
    from gatewise.tasks.forecasting.options import ForecastOptions
    from gatewise.tasks.forecasting.trained import TrainedForecaster
    from gatewise.tasks.inspected import Inspected
    from gatewise.tasks.language_model.options import LanguageModelOptions
    from gatewise.tasks.language_model.trained import TrainedLanguageModel
    from gatewise.tasks.numeric.options import NumericOptions
    from gatewise.tasks.numeric.trained import TrainedOnNumbers
    from gatewise.tasks.sequence_to_sequence.options import SequenceToSequenceOptions
    from gatewise.tasks.sequence_to_sequence.trained import TrainedSequenceToSequence
    from gatewise.tasks.tagging.options import TaggingOptions
    from gatewise.tasks.tagging.trained import TrainedTagger
    from gatewise.tasks.trained import Scores, Trained
    from gatewise.tasks.training_options import TrainingOptions


@overload
def train(task: Literal["lm"], *, config: str | Path | None = None, **options: Any) -> "TrainedLanguageModel": ...
@overload
def train(task: Literal["classify"], *, config: str | Path | None = None, **options: Any) -> "TrainedClassifier": ...
@overload
def train(task: Literal["tag"], *, config: str | Path | None = None, **options: Any) -> "TrainedTagger": ...
@overload
def train(
    task: Literal["seq2seq"], *, config: str | Path | None = None, **options: Any
) -> "TrainedSequenceToSequence": ...
@overload
def train(task: Literal["numeric"], *, config: str | Path | None = None, **options: Any) -> "TrainedOnNumbers": ...
@overload
def train(task: Literal["forecast"], *, config: str | Path | None = None, **options: Any) -> "TrainedForecaster": ...
@overload
def train(task: "LanguageModelOptions", *, config: str | Path | None = None) -> "TrainedLanguageModel": ...
@overload
def train(task: "ClassificationOptions", *, config: str | Path | None = None) -> "TrainedClassifier": ...
@overload
def train(task: "TaggingOptions", *, config: str | Path | None = None) -> "TrainedTagger": ...
@overload
def train(task: "SequenceToSequenceOptions", *, config: str | Path | None = None) -> "TrainedSequenceToSequence": ...
@overload
def train(task: "NumericOptions", *, config: str | Path | None = None) -> "TrainedOnNumbers": ...
@overload
def train(task: "ForecastOptions", *, config: str | Path | None = None) -> "TrainedForecaster": ...
@overload
def train(task: str, *, config: str | Path | None = None, **options: Any) -> "Trained": ...
def train(
    task: "str | TrainingOptions | None" = None, *, config: str | Path | None = None, **options: Any
) -> "Trained":
    """Train a model and leave a run folder.

    Args:
        task: "lm", the language model; "classify", labels of texts; "tag", tags of words; "seq2seq", texts for texts;
            "numeric", on sequences of numbers; "forecast", time series. Or the options of one of them, such as
            `gatewise.tasks.TaggingOptions`, whose fields editors complete and type checkers check; a field at its
            default counts as not given.
        config: a TOML file with options.
        **options: the options of the task (`gatewise train lm --help` lists them, with ``_`` for ``-``); they go before
            those of the file. ``data``, ``valid`` and ``test`` may be one path or several, or a table in memory: a data
            frame of pandas or Polars, an Arrow table, a list of dicts, a dict of columns or a Hugging Face dataset, of
            which the run folder then keeps a copy. ``cell`` may be a name, ``FILE.py:NAME`` or a `gatewise.Cell`.

    Returns:
        the trained model, with its best weights.

    Raises:
        ValueError: for an unknown task or option, a value out of bounds, an option without an effect, bad data, a run
            folder that is not empty, or training that diverges.
        TypeError: for a value of the wrong type.
        OSError: when a file cannot be read or written; a ChildProcessError when one of several processes dies.
    """
    if task is None:
        raise TypeError(f"task: name a task to train: {', '.join(names())}; for example gatewise.train('lm')")
    file = None if config is None else as_path("config", config)
    require("gatewise.train", "tasks")
    began_at = time.monotonic()
    name, of_object = (task, {}) if isinstance(task, str) else (name_of(type(task)), changed(task))
    given = {
        option: value.text if isinstance(value, Cell) else value for option, value in {**of_object, **options}.items()
    }

    from gatewise.tasks.kept_data import with_files

    with ExitStack() as stack:
        files = with_files(name, given, stack)
        chosen = choose(options_of(name), files, file)

        from gatewise.tasks.task import task_of
        from gatewise.tasks.train_run import start

        return start(task_of(name), chosen, began_at)


def resume(
    folder: str | Path,
    *,
    task: str | None = None,
    max_minutes: float | None = None,
    devices: int | None = None,
    num_nodes: int | None = None,
) -> "Trained":
    """Resume a run from its last saved state, with the losses of a run that never stopped.

    Args:
        folder: the run folder.
        task: the task that the run is expected to be of; by default any.
        max_minutes: a new limit on training time, in minutes from the beginning of the run.
        devices, num_nodes: another number of processes on this machine, and of machines.

    Raises:
        ValueError: when the folder is missing, foreign, corrupt or of another task, or the data has changed.
        OSError: when a file cannot be read or written; a ChildProcessError when one of several processes dies.
    """
    require("resuming a run", "tasks")
    began_at = time.monotonic()
    path = as_path("folder", folder)
    name = _name_of(path) if task is None else task
    given = {"max_minutes": max_minutes, "devices": devices, "num_nodes": num_nodes}
    build(options_of(name), {option: value for option, value in given.items() if value is not None})

    from gatewise.tasks import train_run
    from gatewise.tasks.task import task_of

    return train_run.resume(task_of(name), path, began_at=began_at, **given)


@overload
def load(folder: str | Path, task: Literal["lm"]) -> "TrainedLanguageModel": ...
@overload
def load(folder: str | Path, task: Literal["classify"]) -> "TrainedClassifier": ...
@overload
def load(folder: str | Path, task: Literal["tag"]) -> "TrainedTagger": ...
@overload
def load(folder: str | Path, task: Literal["seq2seq"]) -> "TrainedSequenceToSequence": ...
@overload
def load(folder: str | Path, task: Literal["numeric"]) -> "TrainedOnNumbers": ...
@overload
def load(folder: str | Path, task: Literal["forecast"]) -> "TrainedForecaster": ...
@overload
def load(folder: str | Path, task: str | None = None) -> "Trained": ...
def load(folder: str | Path, task: str | None = None) -> "Trained":
    """The trained model of a run folder.

    Args:
        folder: the run folder.
        task: the task of the run, as in `train`, where only that will do; editors and type checkers then know the
            methods of its models.

    Raises:
        ValueError: when the folder is missing, foreign, corrupt, or of another task.
        TypeError: for a folder that is not a path.
        OSError: when a file cannot be read.
    """
    require("gatewise.load", "tasks")
    if task is not None:
        package_of(task)  # an unknown one is found first

    from gatewise.tasks.trained import trained_of

    path = as_path("folder", folder)
    name = _name_of(path)
    if task not in (None, name):
        raise ValueError(f"{path}: expected a run of the task {task}, got one of {name}; open it with task={name!r}")
    return trained_of(name)(path)


def evaluate(folder: str | Path, data: Any = None, *, precision: "Precision | None" = None, **search: Any) -> "Scores":
    """The scores of a trained model, for each part of the data that it is scored on.

    They are numbers by their names. Those of a classifier or tagger have ``per_label``, ``per_tag`` and ``per_entity``
    too: for each label, tag and type of entity its ``precision``, ``recall``, ``f1`` and ``support``.

    Args:
        folder: the run folder.
        data: files, or a table in memory as in `train`; by default what the run held out.
        precision: ``"int8"`` for products of 8-bit integers in the recurrent layers, ``"bf16"`` for those of bfloat16;
            see `Recurrent.frozen`.
        **search: ``beam`` and ``length_penalty``, for a model that answers a text with another.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or a text is empty, too short or not UTF-8.
        OSError: when a file cannot be read.
    """
    require("gatewise.evaluate", "tasks")
    model = load(folder)
    model.check_search(search)
    with model.in_precision(precision):
        return model.evaluate(data, **search)


def predict(folder: str | Path, prompt: str = "", length: int = 500, **sampling: Any) -> str:
    """The continuation of a prompt by a trained language model; for other tasks see `load`, whose result predicts.

    Args:
        folder: the run folder.
        prompt: the text to continue.
        length: the number of tokens to write.
        **sampling: ``temperature``, ``top_k``, ``top_p`` and ``seed``, see `TrainedLanguageModel.generate`.

    Raises:
        ValueError: when the folder is missing, foreign, corrupt or of another task, or an option is out of its bounds.
        OSError: when a file cannot be read.
    """
    require("gatewise.predict", "tasks")
    return load(folder, "lm").generate(prompt, length, **sampling)


def inspect(
    folder: str | Path,
    text: str | None = None,
    *,
    data: Any = None,
    steps: int | None = None,
    series: str | None = None,
    sequence: int | None = None,
    out: str | Path | None = None,
) -> "Inspected":
    """Watch a trained model while it reads, forward and backward, and write a report.

    The predictions for one text or sentence are attributed to its words, those for a sequence of numbers to its steps
    and features, and the forecast of a series to its steps and covariates. A sequence-to-sequence model reads its own
    output too, and has its attention shown.

    Args:
        folder: the run folder.
        text: what to read.
        data: what to read instead: text files, or the first row of a table, for a tagger also a file with a word per
            line or a table of sentences (the first one); for a model of sequences of numbers files such as it was
            trained on; for forecasts tables, by default the run's own data. A table may be in memory, as in `train`.
        steps: the largest number of tokens or steps to read, from the beginning (2000); of a series the number of its
            last steps to watch (the window of the run).
        series: the name of the series, for forecasts; by default the first.
        sequence: which sequence of the data, for a model of them, counted from 1; by default the first.
        out: the page of HTML to write, by default ``report.html`` in the run folder.

    Returns:
        what was read, with its ``trace``: ``trace.diagnose()`` has the findings, and `gatewise.watch` says what else
        can be asked. ``rows()`` has the contributions to each prediction, and printing it shows a table. Of a language
        model a `TextInspection`, of a classifier or tagger an `Inspection`, of a sequence-to-sequence model an
        `AnswerInspection`, of sequences of numbers an `Inspection` too, of forecasts a `ForecastInspection`.

    Raises:
        ValueError: when not exactly one of ``text`` and ``data`` is given, for a model of texts, or one that the model
            does not read; when the folder is missing, foreign or corrupt, a text is empty, too short or not UTF-8,
            there is no such series or sequence, ``steps`` is too small, or the folder of ``out`` is missing.
        OSError: when a file cannot be read or written.
    """
    require("gatewise.inspect", "tasks")
    from gatewise.tasks.inspected import InspectionRequest

    return load(folder).inspect_requested(InspectionRequest(text, data, steps, series, sequence, out))


def _name_of(path: Path) -> str:
    """The name of the task of a run folder."""
    from gatewise.tasks.run_folder import RunFolder

    return RunFolder(path).read_description()["task"]
