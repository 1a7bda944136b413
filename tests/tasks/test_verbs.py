"""Opening a run as one of a task, and the types that the verbs promise."""

from pathlib import Path
from typing import get_args, get_overloads

import pytest

import gatewise
from gatewise.tasks import task_names, verbs
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


@pytest.mark.parametrize("verb", [verbs.train, verbs.load])
def test_every_task_has_an_overload_that_returns_its_model(verb: object):
    promised: dict[str, str] = {}
    for overload in get_overloads(verb):  # pyright: ignore[reportArgumentType]
        for task in get_args(overload.__annotations__["task"]):
            if isinstance(task, str):
                promised[task] = overload.__annotations__["return"]
    assert promised == {name: trained_of(name).__name__ for name in task_names.names()}
