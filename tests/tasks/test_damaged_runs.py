"""Run folders with anything in their files: rejected in one line, or as before; never an error from inside."""

import json
import shutil
from contextlib import suppress
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gatewise
from gatewise.data.vocabularies import load_vocabulary
from gatewise.data.vocabulary_file import read_parts
from gatewise.tasks.api import resume
from gatewise.tasks.heads.tag_set import TagSet
from gatewise.tasks.language_model.trained import TrainedLanguageModel
from gatewise.tasks.tagging.tag_head import TagHead
from tests.combinations import examples
from tests.tasks.small import train_small
from tests.tasks.small_sequences import SMALL, tagged_words

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, 2, -1, 3, 10**9, 10**20]),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train_small(folder)
    (folder / "tag").mkdir()
    data = tagged_words(folder / "tag")
    gatewise.train("tag", data=data, out=folder / "tag" / "run", **{**SMALL, "epochs": 1})
    return {"lm": folder / "run", "tag": folder / "tag" / "run"}


def positions(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there are values in a document, itself among them."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    return [path, *(position for name, one in inside for position in positions(one, (*path, name)))]


def changed(draw: Any, document: Any) -> Any:
    """A document with some values replaced or removed."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(positions(document)))
        if not path:
            return draw(JUNK)
        holder = document
        for name in path[:-1]:
            holder = holder[name]
        if draw(st.booleans()):
            holder[path[-1]] = draw(JUNK)
        else:
            del holder[path[-1]]
    return document


def opened(folder: Any) -> None:
    """Open a run, which may be rejected."""
    with suppress(ValueError, OSError):
        model = gatewise.load(folder)
        model.final_scores()
        model.evaluate()


@pytest.mark.parametrize("task", ["lm", "tag"])
@pytest.mark.parametrize("name", ["run.json", "scores.json", "vocabulary.json"])
def test_any_values_in_a_json_file(runs, tmp_path, task, name):
    folder = tmp_path / "run"
    shutil.copytree(runs[task], folder)
    document = json.loads((folder / name).read_bytes())

    @settings(max_examples=examples(15), suppress_health_check=[HealthCheck.data_too_large])
    @given(st.data())
    def check(data):
        (folder / name).write_text(json.dumps(changed(data.draw, document)))
        opened(folder)

    check()


@pytest.mark.parametrize("task", ["lm", "tag"])
def test_any_values_in_the_options(runs, tmp_path, task):
    folder = tmp_path / "run"
    shutil.copytree(runs[task], folder)
    lines = (folder / "config.toml").read_text().splitlines()
    junk = st.one_of(
        st.sampled_from(["0", "-1", "1e9", "1000000000", "10000000000000000000000", "true", '""', "[]", "{}", "nan"]),
        st.text(max_size=4).map(json.dumps),
        st.integers(1, 9).map(str),
    )

    @settings(max_examples=examples(25))
    @given(st.integers(0, len(lines) - 1), junk, st.booleans())
    def check(position, value, without):
        name = lines[position].split(" = ")[0]
        new = [] if without else [f"{name} = {value}"]
        (folder / "config.toml").write_text("\n".join([*lines[:position], *new, *lines[position + 1 :]]) + "\n")
        opened(folder)

    check()


@pytest.mark.parametrize("task", ["lm", "tag"])
def test_any_values_in_a_vocabulary_that_no_checksum_guards(runs, tmp_path, task):
    path = tmp_path / "vocabulary.json"
    document = json.loads((runs[task] / "vocabulary.json").read_bytes())

    @settings(max_examples=examples(50))
    @given(st.data())
    def check(data):
        path.write_text(json.dumps(changed(data.draw, document)))
        with suppress(ValueError):
            if task == "lm":
                load_vocabulary(path)
            else:
                read_parts(path, TagSet)

    check()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
@pytest.mark.parametrize("name", ["run.json", "scores.json", "vocabulary.json", "config.toml"])
def test_nested_too_deeply(runs, tmp_path, name, text):
    folder = tmp_path / "run"
    shutil.copytree(runs["lm"], folder)
    (folder / name).write_text(f"a = {text}" if name == "config.toml" else text)
    with pytest.raises(ValueError, match="run"):
        gatewise.load(folder).final_scores()


@pytest.mark.parametrize("option", ["hidden", "layers", "embedding"])
@pytest.mark.parametrize("size", [100_000, 10**9, 10**18])
def test_sizes_that_the_weights_do_not_have_take_no_memory(runs, tmp_path, monkeypatch, option, size):
    folder = tmp_path / "run"
    shutil.copytree(runs["lm"], folder)
    lines = (folder / "config.toml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{option} = ")]
    (folder / "config.toml").write_text("\n".join([*kept, f"{option} = {size}"]))
    devices = []
    make = TrainedLanguageModel._make_model

    def noted(self):
        devices.append(torch.empty(0).device.type)
        return make(self)

    monkeypatch.setattr(TrainedLanguageModel, "_make_model", noted)
    with pytest.raises(ValueError, match=r"run/(config\.toml|weights\.safetensors): "):
        gatewise.load(folder)
    assert devices in ([], ["meta"])


@pytest.mark.parametrize("option", ["hidden", "layers", "embedding_size"])
@pytest.mark.parametrize("size", [500, 10**9, 10**18])
def test_a_run_is_not_resumed_with_sizes_that_its_state_does_not_have(runs, tmp_path, monkeypatch, option, size):
    folder = tmp_path / "run"
    shutil.copytree(runs["tag"], folder)
    (folder / "scores.json").unlink()
    lines = (folder / "config.toml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{option} = ")]
    (folder / "config.toml").write_text("\n".join([*kept, f"{option} = {size}"]))
    devices = []
    make = TagHead.make_model

    def noted(*described):
        devices.append(torch.empty(0).device.type)
        return make(*described)

    monkeypatch.setattr(TagHead, "make_model", noted)
    with pytest.raises(ValueError, match=r"run/(config\.toml|state\.ckpt): "):
        resume(folder)
    assert devices in ([], ["meta"])
