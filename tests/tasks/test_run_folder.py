"""A run folder is made whole or not at all, and known again."""

import json
import re

import pytest

from gatewise.tasks import run_folder
from gatewise.tasks.run_folder import RunFolder, create, unused


def test_a_new_folder_has_description_options_and_vocabulary(tmp_path):
    folder = create(tmp_path / "deep" / "run", "lm", "hidden = 3\n", "{}", {"sha256": {"data": "ab"}})
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.toml", "run.json", "vocabulary.json"]
    assert folder.config.read_text() == "hidden = 3\n"
    description = folder.read_description()
    assert (description["format"], description["version"], description["task"]) == ("gatewise-run", 1, "lm")
    assert {"gatewise", "torch", "python"} <= description.keys()
    assert description["sha256"] == {"data": "ab"}
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
    with pytest.raises(ValueError, match=re.escape(f"{out}: exists already; choose another --out, or go on with --re")):
        create(out, "lm", "", "{}", {})
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_nothing_is_left_when_it_cannot_be_written(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "atomic_write", full)
    with pytest.raises(OSError, match="No space left"):
        create(tmp_path / "run", "lm", "", "{}", {})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'run'}: no such run folder")):
        RunFolder(tmp_path / "run").read_description()


@pytest.mark.parametrize("content", [None, "{", "[]", "3", "{}"])
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
