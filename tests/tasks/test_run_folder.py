"""A run folder is made whole or not at all, and known again."""

import hashlib
import json
import re
from datetime import datetime, timedelta

import pytest

from gatewise.tasks import run_folder
from gatewise.tasks.run_folder import RunFolder, check_unused, create, new_run, unused


def test_a_new_folder_has_description_options_and_vocabulary(tmp_path):
    folder = create(tmp_path / "deep" / "run", "lm", "hidden = 3\n", "{}", {"sha256": {"data": "ab"}})
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.toml", "run.json", "vocabulary.json"]
    assert folder.config.read_text() == "hidden = 3\n"
    description = folder.read_description()
    assert (description["format"], description["version"], description["task"]) == ("gatewise-run", 1, "lm")
    assert {"gatewise", "torch", "python"} <= description.keys()
    assert description["sha256"] == {"data": "ab"}
    assert description["vocabulary_sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert datetime.fromisoformat(description["created"]).utcoffset() == timedelta(0)
    assert [path.name for path in folder.path.parent.iterdir()] == ["run"]


def test_an_empty_folder_may_be_used(tmp_path):
    (tmp_path / "run").mkdir()
    assert create(tmp_path / "run", "lm", "", "{}", {}).description.exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_exists_is_left_alone(tmp_path, kind):
    out = tmp_path / "run"
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").touch()
    with pytest.raises(
        ValueError, match=re.escape(f"{out}: exists already; choose another --out, or resume it with --re")
    ):
        create(out, "lm", "", "{}", {})
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_nothing_is_left_when_it_cannot_be_written(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "atomic_write", full)
    with pytest.raises(OSError, match="No space left"):
        create(tmp_path / "run", "lm", "", "{}", {})
    assert list(tmp_path.iterdir()) == []


def test_errors_name_files_as_they_would_be_called(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(run_folder, "atomic_write", full)
    with pytest.raises(OSError, match="No space left") as raised:
        create(tmp_path / "run", "lm", "", "{}", {})
    assert raised.value.filename == str(tmp_path / "run" / "config.toml")


@pytest.mark.parametrize("left", [None, "metrics.csv", "state.ckpt", "weights.safetensors"])
def test_a_failed_run_leaves_a_folder_only_with_something_to_resume_or_load(tmp_path, left):
    out = tmp_path / "deep" / "run"

    def train() -> None:
        with new_run(out, "lm", "", "{}", {}) as folder:
            if left is not None:
                (folder.path / left).touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    if left in (None, "metrics.csv"):
        assert list(tmp_path.iterdir()) == []
    else:
        assert (out / left).exists()


def test_a_run_that_finds_its_name_taken_leaves_the_other_alone(tmp_path):
    create(tmp_path / "run", "lm", "", "{}", {})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="exists already"), new_run(tmp_path / "run", "lm", "", "{}", {}):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_where_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file"):
        check_unused(tmp_path / "file" / "deep" / "run")
    check_unused(tmp_path / "deep" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'run'}: no such run folder")):
        RunFolder(tmp_path / "run").read_description()


@pytest.mark.parametrize("content", [None, "{", "[]", "3", "{}", "[" * 100_000])
def test_a_folder_of_something_else(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: not a run folder of gatewise")):
        RunFolder(tmp_path).read_description()


def test_a_folder_of_another_version(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format": "gatewise-run", "version": 2}))
    with pytest.raises(ValueError, match="expected gatewise-run version 1, got gatewise-run version 2"):
        RunFolder(tmp_path).read_description()


def test_unused_names_count_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert unused("lm-lstm").as_posix() == "runs/lm-lstm-1"
    (tmp_path / "runs" / "lm-lstm-1").mkdir(parents=True)
    assert unused("lm-lstm").as_posix() == "runs/lm-lstm-2"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "expected the name of a task in 'task', got None"),
        ({"task": ["lm"]}, "expected the name of a task in 'task', got ['lm']"),
        ({"task": "lm"}, "expected a hash by name in 'sha256', got None"),
        ({"task": "lm", "sha256": {"data": 3}}, "expected a hash by name in 'sha256', got {'data': 3}"),
    ],
)
def test_a_description_of_wrong_types(tmp_path, more, message):
    (tmp_path / "run.json").write_text(json.dumps({"format": "gatewise-run", "version": 1, **more}))
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'run.json'}: {message}")):
        RunFolder(tmp_path).read_description()


def test_scores_that_are_none(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(FileNotFoundError):
        folder.read_scores()
    for content in (
        "",
        "3",
        "{}",
        '{"ended_by": 3, "scores": {}}',
        '{"ended_by": "epochs", "scores": {"a": {"b": "c"}}}',
        '{"ended_by": "epochs", "scores": {"a": {"b": true}}}',
        '{"ended_by": "epochs", "scores": {"a": {"b": {"c": 1}}}}',
        '{"ended_by": "epochs", "scores": {"a": {"b": {"c": {}}}}}',
        '{"ended_by": "epochs", "scores": {"a": {"b": {"c": {"precision": 1}, "d": {"recall": 1}}}}}',
    ):
        folder.scores.write_text(content)
        with pytest.raises(ValueError, match=re.escape(f"{folder.scores}: not the scores of a run")):
            folder.read_scores()
