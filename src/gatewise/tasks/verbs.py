"""The public functions. Nothing heavy is imported before one of them is called."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from gatewise.equations import Cell
from gatewise.extras import require
from gatewise.tasks.options import choose
from gatewise.tasks.task_names import home_of, options_of

if TYPE_CHECKING:
    from gatewise.tasks.classification.trained import TrainedClassifier
    from gatewise.tasks.forecasting.trained import TrainedForecaster
    from gatewise.tasks.inspected import Inspected
    from gatewise.tasks.language_model.trained import TrainedLanguageModel
    from gatewise.tasks.numeric.trained import TrainedOnNumbers
    from gatewise.tasks.sequence_to_sequence.trained import TrainedSequenceToSequence
    from gatewise.tasks.tagging.trained import TrainedTagger
    from gatewise.tasks.trained import Scores, Trained


@overload
def train(
    task: Literal["lm"] = "lm", *, config: str | Path | None = None, **options: Any
) -> "TrainedLanguageModel": ...
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
def train(task: str, *, config: str | Path | None = None, **options: Any) -> "Trained": ...
def train(task: str = "lm", *, config: str | Path | None = None, **options: Any) -> "Trained":
    """Train a model and leave a run folder.

    Args:
        task: "lm", the language model; "classify", labels of texts; "tag", tags of words; "seq2seq", texts for texts;
            "numeric", on sequences of numbers; "forecast", time series.
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
    require("gatewise.train", "tasks")
    kind = options_of(task)
    given = {name: value.text if isinstance(value, Cell) else value for name, value in options.items()}

    from gatewise.tasks.kept_data import with_files
    from gatewise.tasks.running import start
    from gatewise.tasks.task import task_of

    with ExitStack() as stack:
        chosen = choose(kind, with_files(task, given, stack), None if config is None else Path(config))
        return start(task_of(task), chosen)


def resume(
    folder: str | Path,
    *,
    max_minutes: float | None = None,
    devices: int | None = None,
    num_nodes: int | None = None,
) -> "Trained":
    """Go on with a run from its last saved state, with the losses of a run that never stopped.

    Args:
        folder: the run folder.
        max_minutes: a new limit on training time, in minutes from the beginning of the run.
        devices, num_nodes: another number of processes on this machine, and of machines.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or the data has changed.
        OSError: when a file cannot be read or written; a ChildProcessError when one of several processes dies.
    """
    require("resuming a run", "tasks")

    from gatewise.tasks import running
    from gatewise.tasks.task import task_of

    path = Path(folder)
    task = task_of(_name_of(path))
    return running.resume(task, path, max_minutes, devices=devices, num_nodes=num_nodes)


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
        OSError: when a file cannot be read.
    """
    require("gatewise.load", "tasks")
    if task is not None:
        home_of(task)  # an unknown one is found first

    from gatewise.tasks.trained import trained_of

    path = Path(folder)
    name = _name_of(path)
    if task not in (None, name):
        raise ValueError(f"{path}: expected a run of the task {task}, got one of {name}; open it with task={name!r}")
    return trained_of(name)(path)


def evaluate(folder: str | Path, data: Any = None, **search: Any) -> "Scores":
    """The scores of a trained model, for each part of the data that it is scored on.

    They are numbers by their names. Those of a classifier or tagger have ``per_label``, ``per_tag`` and ``per_entity``
    too: for each label, tag and type of entity its ``precision``, ``recall``, ``f1`` and ``support``.

    Args:
        folder: the run folder.
        data: files, or a table in memory as in `train`; by default what the run held out.
        **search: ``beam`` and ``length_penalty``, for a model that answers a text with another.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or a text is empty, too short or not UTF-8.
        OSError: when a file cannot be read.
    """
    require("gatewise.evaluate", "tasks")
    model = load(folder)
    model.check_search(search)
    return model.evaluate(data, **search)


def predict(folder: str | Path, prompt: str = "", length: int = 500, **sampling: Any) -> str:
    """The continuation of a prompt by a trained language model; for other tasks see `load`, whose result predicts.

    Args:
        folder: the run folder.
        prompt: the text to go on from.
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

    A classifier or tagger reads one text or one sentence, and is asked which words moved its answers; a model of
    sequences of numbers reads one, and is asked which steps and features did. A model that answers a text with another
    reads its own answer too, and is asked where it looked. A model of forecasts reads a series, and is asked which
    steps moved its forecast.

    Args:
        folder: the run folder.
        text: what to read.
        data: text files to read instead, for a tagger also a file with a word per line (its first sentence); for a
            model of sequences of numbers files such as it was trained on; for forecasts tables or a data frame, by
            default the run's own data.
        steps: the largest number of tokens or steps to read, from the beginning (2000); of a series the number of its
            last steps to watch (the window of the run).
        series: the name of the series, for forecasts; by default the first.
        sequence: which sequence of the data, for a model of them, counted from 1; by default the first.
        out: the page of HTML to write, by default ``report.html`` in the run folder.

    Returns:
        what was read, with its ``trace``: ``trace.diagnose()`` has the findings, and `gatewise.watch` says what else
        can be asked. ``rows()`` has what moved each answer, and printing it shows that as a table. Of a language model
        a `TextInspection`, of a classifier or tagger an `Inspection`, of a model that answers texts an
        `AnswerInspection`, of sequences of numbers a `NumericInspection`, of forecasts a `ForecastInspection`.

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
