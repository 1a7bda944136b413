"""Opening a run as one of a task, and the types that the functions promise."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_overloads

import pytest

import gatewise
from gatewise import tasks
from gatewise.tasks import api, task_names
from gatewise.tasks.trained import trained_of
from tests.tasks.small import train_small


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lm")
    train_small(folder)
    return folder / "run"


def test_a_run_is_opened_as_one_of_its_task(run: Path):
    assert type(gatewise.load(run, "lm")) is type(gatewise.load(run)) is trained_of("lm")


def test_a_run_of_another_task(run: Path):
    with pytest.raises(ValueError, match="run: expected a run of the task tag, got one of lm; open it with task='lm'"):
        gatewise.load(run, "tag")


def test_an_unknown_task_is_found_before_the_folder(tmp_path: Path):
    with pytest.raises(ValueError, match="unknown task 'parse'; the tasks are: lm, classify"):
        gatewise.load(tmp_path / "missing", "parse")


@pytest.mark.parametrize("verb", [api.train, api.load])
def test_every_task_has_an_overload_that_returns_its_model(verb: object):
    promised: dict[str, str] = {}
    for overload in get_overloads(verb):  # pyright: ignore[reportArgumentType]
        for task in get_args(overload.__annotations__["task"]):
            if isinstance(task, str):
                promised[task] = overload.__annotations__["return"]
    assert promised == {name: trained_of(name).__name__ for name in task_names.names()}


def test_options_as_an_object_are_those_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 40)
    small = {"hidden": 8, "embedding": 4, "batch": 2, "window": 8, "epochs": 1, "seed": 3}
    of_object = gatewise.train(tasks.LanguageModelOptions(data=(tmp_path / "text.txt",), out=tmp_path / "a", **small))
    by_name = gatewise.train("lm", data=tmp_path / "text.txt", out=tmp_path / "b", **small)
    assert of_object.final_scores() == by_name.final_scores()
    config = tmp_path / "options.toml"
    config.write_text("hidden = 16\nlayers = 2\n")
    chosen = {}
    monkeypatch.setattr("gatewise.tasks.train_run.start", lambda task, options, began_at: chosen.update(vars(options)))
    gatewise.train(tasks.LanguageModelOptions(hidden=8), config=config)
    assert (chosen["hidden"], chosen["layers"]) == (8, 2)


def test_every_task_has_an_overload_for_its_options():
    promised = {}
    for one in get_overloads(api.train):
        of = one.__annotations__["task"]
        if isinstance(of, str) and of.endswith("Options"):
            promised[of] = one.__annotations__["return"]
    assert promised == {task_names.options_of(name).__name__: trained_of(name).__name__ for name in task_names.names()}
    assert set(promised) == set(task_names.option_classes()) < set(tasks.__all__)


def test_a_task_must_be_named():
    message = (
        "task: name a task to train: lm, classify, tag, seq2seq, numeric, forecast; for example gatewise.train('lm')"
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        gatewise.train(out="runs/never")  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("wrong", [5, None, b"run", ["run"]], ids=repr)
@pytest.mark.parametrize("verb", ["load", "evaluate", "predict", "inspect", "resume", "train", "study"])
def test_what_is_not_a_path(verb: str, wrong: Any):
    if wrong is None and verb in ("train", "study"):
        return  # the default
    calls: dict[str, Callable[[Any], object]] = {
        "resume": api.resume,
        "train": lambda path: gatewise.train("lm", config=path),
        "study": lambda path: gatewise.study("C6", out=path),
    }
    argument = {"train": "config", "study": "out"}.get(verb, "folder")
    message = f"{argument}: expected a path (a str or an os.PathLike), got {type(wrong).__name__} ({wrong!r})"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        calls.get(verb, getattr(gatewise, verb, None))(wrong)  # pyright: ignore[reportOptionalCall]


@pytest.mark.parametrize("value", [5, object(), {"task": "lm"}])
def test_what_is_neither_a_task_nor_its_options(value: object):
    with pytest.raises(TypeError, match="task: expected the name of a task, or its options"):
        gatewise.train(value)  # pyright: ignore[reportArgumentType, reportCallIssue]
