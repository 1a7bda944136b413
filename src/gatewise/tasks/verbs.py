"""The public functions. Nothing heavy is imported before one of them is called."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.equations import Cell
from gatewise.tasks.options import build, read_toml

if TYPE_CHECKING:
    from gatewise.diagnostics import Trace
    from gatewise.tasks.language_model.trained import TrainedLanguageModel


def train(task: str = "lm", *, config: str | Path | None = None, **options: Any) -> "TrainedLanguageModel":
    """Train a model and leave a run folder.

    Args:
        task: "lm", the language model.
        config: a TOML file with options.
        **options: the options of the task (`gatewise train lm --help` lists them, with ``_`` for ``-``); they go before
            those of the file. ``data`` may be one path or several, ``cell`` a name, ``FILE.py:NAME`` or a
            `gatewise.Cell`.

    Returns:
        the trained model, with its best weights.

    Raises:
        ValueError: for an unknown task or option, a value out of bounds, bad data, a run folder that is not empty, or
            training that diverges.
        TypeError: for a value of the wrong type.
        OSError: when a file cannot be read or written.
    """
    from gatewise.tasks.language_model.options import LanguageModelOptions

    _check_task(task)
    values: Mapping[str, Any] = {**(read_toml(Path(config)) if config is not None else {}), **options}
    if isinstance(values.get("cell"), Cell):
        values = {**values, "cell": values["cell"].text}
    chosen = build(LanguageModelOptions, values)

    from gatewise.tasks.language_model import training

    return training.train(chosen)


def resume(folder: str | Path, *, max_minutes: float | None = None) -> "TrainedLanguageModel":
    """Go on with a run from its last saved state, with the losses of a run that never stopped.

    Args:
        folder: the run folder.
        max_minutes: a new limit on training time, in minutes from the beginning of the run.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or the data has changed.
        OSError: when a file cannot be read or written.
    """
    from gatewise.tasks.language_model import training

    return training.resume(Path(folder), max_minutes)


def load(folder: str | Path) -> "TrainedLanguageModel":
    """The trained model of a run folder.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt.
        OSError: when a file cannot be read.
    """
    from gatewise.tasks.language_model.trained import TrainedLanguageModel

    return TrainedLanguageModel(folder)


def evaluate(folder: str | Path, data: str | Path | Iterable[str | Path] | None = None) -> dict[str, dict[str, float]]:
    """The scores of a trained model, for each text that it is scored on.

    Args:
        folder: the run folder.
        data: text files; by default what the run held out.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or a text is empty, too short or not UTF-8.
        OSError: when a file cannot be read.
    """
    return load(folder).evaluate(data)


def predict(folder: str | Path, prompt: str = "", length: int = 500, **sampling: Any) -> str:
    """The continuation of a prompt by a trained model.

    Args:
        folder: the run folder.
        prompt: the text to go on from.
        length: the number of tokens to write.
        **sampling: ``temperature``, ``top_k``, ``top_p`` and ``seed``, see `TrainedLanguageModel.generate`.

    Raises:
        ValueError: when the folder is missing, foreign or corrupt, or an option is out of its bounds.
        OSError: when a file cannot be read.
    """
    return load(folder).generate(prompt, length, **sampling)


def inspect(
    folder: str | Path,
    text: str | None = None,
    *,
    data: str | Path | Iterable[str | Path] | None = None,
    steps: int = 2000,
    out: str | Path | None = None,
) -> "Trace":
    """Watch a trained model while it reads a text, forward and backward, and write a report.

    Args:
        folder: the run folder.
        text: what to read.
        data: text files to read instead.
        steps: the largest number of tokens to read, from the beginning.
        out: the page of HTML to write, by default ``report.html`` in the run folder.

    Returns:
        what was recorded: ``.diagnose()`` has the findings, and `gatewise.watch` says what else can be asked.

    Raises:
        ValueError: when not exactly one of ``text`` and ``data`` is given; when the folder is missing, foreign or
            corrupt, a text is empty, too short or not UTF-8, ``steps`` is below 1, or the folder of ``out`` is missing.
        OSError: when a file cannot be read or written.
    """
    if (text is None) == (data is None):
        raise ValueError("give either text or data (on the command line --text or --data): what the model is to read")
    model = load(folder)
    if text is None:
        from gatewise.data.text import read_text

        assert data is not None
        text = read_text([data] if isinstance(data, str | Path) else data)
    return model.inspect(text, steps=steps, out=out)


def _check_task(task: str) -> None:
    if task != "lm":
        raise ValueError(f"unknown task {task!r}; the tasks are: lm")
