"""Examples too large for memory: encoded once into the cache, with the losses and scores of those in memory."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

import gatewise
from gatewise.compiler import build_cache
from gatewise.data import example_store
from gatewise.data.row_store import RowWriter
from gatewise.tasks import child, data_cache, processes, state_file, token_rows
from gatewise.tasks.api import resume
from gatewise.tasks.sequence_module import SequenceModule
from tests.forked import Forked
from tests.tasks.small import losses
from tests.tasks.small_sequences import SMALL, labelled_texts, reversed_words, small_tokens, tagged_words


def several_labels(folder):
    path = labelled_texts(folder)
    path.write_text(path.read_text().replace(",good", ',"good,new"'))
    return path


def numbered(folder):
    path = labelled_texts(folder)
    path.write_text(path.read_text().replace(",good", ",2.5").replace(",bad", ",-1"))
    return path


def featured_words(folder):
    path = tagged_words(folder)
    path.write_text(re.sub(r"(?m)^(\w)(\S*) ", r"\1\2 \1 ", path.read_text()))
    return path


CASES = {
    "label": ("classify", labelled_texts, {**small_tokens(), "class_weights": "balanced", "longest": 4}),
    "bpe": ("classify", labelled_texts, small_tokens(unit="bpe", vocabulary_size=300)),
    "labels": ("classify", several_labels, {**small_tokens(spelling="none"), "target": "labels"}),
    "number": ("classify", numbered, {**small_tokens(unit="char"), "target": "number"}),
    "tags": ("tag", tagged_words, {**small_tokens(), "output": "crf"}),
    "features": ("tag", featured_words, {**small_tokens(spelling="none"), "feature_columns": ("2",)}),
    "pairs": ("seq2seq", reversed_words, {"batch": 100, "embedding_size": 6, "unit": "word", "beam": 2, "longest": 3}),
    "shared": ("seq2seq", reversed_words, {"batch": 100, "embedding_size": 6, "unit": "bpe", "vocabulary_size": 270}),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_large(monkeypatch):
    """All tables are too large for memory."""
    monkeypatch.setattr(example_store, "IN_MEMORY", 200)


def train(folder, case, **changes):
    task, write, options = CASES[case]
    data = changes.pop("data", None) or write(folder)
    options = {**SMALL, "epochs": 2, **options}
    return gatewise.train(task, **{"data": data, "out": folder / "run", "held_out": 0.2, **options, **changes})


def entries(cache):
    kinds = sorted(cache.iterdir()) if cache.exists() else []
    return {kind.name: sorted(path.name for path in kind.iterdir()) for kind in kinds}


@pytest.mark.parametrize("case", CASES)
def test_training_and_scores_are_those_of_examples_in_memory(tmp_path, case, cache, monkeypatch, capsys):
    whole = train(tmp_path, case, out=tmp_path / "whole")
    data = whole.options.data[0]
    again = whole.evaluate(data)
    assert "mapped from" not in capsys.readouterr().err
    assert not cache.exists()
    make_large(monkeypatch)
    stored = train(tmp_path, case)
    assert f"mapped from {cache / 'examples'}" in capsys.readouterr().err
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    for name in ("scores.json", "vocabulary.json", "config.toml"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    hashes = [json.loads((tmp_path / run / "run.json").read_text())["sha256"] for run in ("run", "whole")]
    assert hashes[0] == hashes[1]
    assert {kind: len(names) for kind, names in entries(cache).items()} == {"examples": 1, "splits": 1, "tokens": 2}
    assert stored.evaluate() == stored.final_scores() == whole.final_scores()
    assert len(entries(cache)["tokens"]) == 2
    assert stored.evaluate(data) == again


@pytest.mark.parametrize("case", ["label", "tags", "features", "pairs"])
def test_a_run_is_resumed_from_the_cache_without_its_files(tmp_path, case, cache, monkeypatch):
    whole = train(tmp_path, case, out=tmp_path / "whole")
    (data,) = whole.options.data
    make_large(monkeypatch)
    step = SequenceModule.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == 5:
            raise RuntimeError("mine")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(SequenceModule, "training_step", failing)
        with pytest.raises(RuntimeError, match="mine"):
            train(tmp_path, case)
    content = data.read_bytes()
    data.unlink()
    resume(tmp_path / "run")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert gatewise.evaluate(tmp_path / "run") == whole.final_scores()
    shutil.rmtree(cache)
    with pytest.raises(FileNotFoundError, match=re.escape(data.name)):
        gatewise.evaluate(tmp_path / "run")
    data.write_bytes(content.replace(b"1", b"2") + content.partition(b"\n")[2])
    with pytest.raises(ValueError, match="the data has changed since the run began"):
        gatewise.evaluate(tmp_path / "run")
    data.write_bytes(content)
    assert gatewise.evaluate(tmp_path / "run") == whole.final_scores()


def test_the_same_examples_are_encoded_once_and_by_other_options_again(tmp_path, cache, monkeypatch):
    make_large(monkeypatch)
    train(tmp_path, "label", epochs=1)
    before = entries(cache)
    train(tmp_path, "label", epochs=1, hidden=9, out=tmp_path / "other")
    assert entries(cache) == before
    train(tmp_path, "label", epochs=1, longest=2, out=tmp_path / "shorter")
    train(tmp_path, "label", epochs=1, digits=False, out=tmp_path / "digits")
    assert {kind: len(names) for kind, names in entries(cache).items()} == {"examples": 1, "splits": 1, "tokens": 6}
    train(tmp_path, "label", epochs=1, held_out=0.3, out=tmp_path / "more")
    train(tmp_path, "label", epochs=1, seed=1, out=tmp_path / "seed")
    assert {kind: len(names) for kind, names in entries(cache).items()} == {"examples": 1, "splits": 3, "tokens": 10}


def test_patterns_and_folders_of_tables_are_data(tmp_path, cache, monkeypatch):
    lines = labelled_texts(tmp_path).read_text().splitlines(keepends=True)
    folder = tmp_path / "texts"
    (folder / "more").mkdir(parents=True)
    (folder / "1.csv").write_text("".join(lines[:30]))
    (folder / "more" / "2.csv.gz").write_bytes(gzip.compress("".join([lines[0], *lines[30:]]).encode()))
    whole = train(tmp_path, "label", epochs=1, out=tmp_path / "whole")
    make_large(monkeypatch)
    for number, data in enumerate([folder, folder / "**" / "*.csv*"]):
        trained = train(tmp_path, "label", data=data, epochs=1, out=tmp_path / str(number))
        assert trained.final_scores() == whole.final_scores()
    (folder / "README").write_text("no table")
    with pytest.raises(ValueError, match=r"the folder has tables \(1\.csv\) and other files \(README\); name"):
        train(tmp_path, "label", data=folder, out=tmp_path / "none")


def test_an_error_in_a_large_table_leaves_nothing(tmp_path, cache, monkeypatch):
    make_large(monkeypatch)
    path = labelled_texts(tmp_path)
    path.write_text(path.read_text() + "too,many,columns\n")
    with pytest.raises(ValueError, match="line 82"):
        train(tmp_path, "label", data=path)
    assert not any(entries(cache).values())
    assert not (tmp_path / "run").exists()


def test_words_of_many_examples_are_learned_from_a_stated_sample(tmp_path, cache, monkeypatch, capsys):
    make_large(monkeypatch)
    monkeypatch.setattr(token_rows, "SAMPLE", 1500)
    trained = train(tmp_path, "label", epochs=1)
    assert re.search(r"learned from a sample of \d\d examples \(every one of [2-9]\)", capsys.readouterr().err)
    assert trained.evaluate()["held_out"]["examples"] == 16


@pytest.mark.parametrize("name", ["numbers.items", "rows.json", "target.items"])
def test_what_is_incomplete_in_the_cache_is_made_again(tmp_path, cache, monkeypatch, name):
    make_large(monkeypatch)
    trained = train(tmp_path, "label", epochs=1)
    before = entries(cache)
    for entry in (cache / "tokens").iterdir():
        (entry / name).unlink()
    assert trained.evaluate() == trained.final_scores()
    for entry in (cache / "examples").iterdir():
        (entry / "rows.json").write_text("{}")
    assert trained.evaluate() == trained.final_scores()
    assert entries(cache) == before


def test_the_oldest_entries_are_removed_beyond_the_limit(tmp_path, cache, monkeypatch, capsys):
    make_large(monkeypatch)
    train(tmp_path, "label", epochs=1)
    ours = entries(cache)
    old, older = (cache / "tokens" / name for name in ("old", "older"))
    for age, entry in enumerate([old, older], 1):
        entry.mkdir()
        (entry / "some").write_bytes(bytes(400_000))
        os.utime(entry, (1000 - age, 1000 - age))
    monkeypatch.setenv("GATEWISE_CACHE_LIMIT", "0.0006")
    capsys.readouterr()
    data_cache.remove_oldest()
    assert old.exists()
    assert not older.exists()
    assert f"removed from the cache, as it has more than 0.0006 GB (GATEWISE_CACHE_LIMIT): {older}, 0.000 GB" in (
        capsys.readouterr().err
    )
    monkeypatch.setenv("GATEWISE_CACHE_LIMIT", "0")
    data_cache.remove_oldest()
    assert entries(cache) == ours  # this process uses them
    for used in data_cache._in_use.values():
        os.close(used)
    data_cache._in_use.clear()
    data_cache.remove_oldest()
    assert not any(entries(cache).values())


def test_what_another_process_uses_is_not_removed(tmp_path, cache, monkeypatch):
    make_large(monkeypatch)
    train(tmp_path, "label", epochs=1)
    before = entries(cache)
    monkeypatch.setenv("GATEWISE_CACHE_LIMIT", "0")
    monkeypatch.setattr(data_cache, "_in_use", {})  # those of another process; its files stay open
    data_cache.remove_oldest()
    assert entries(cache) == before


@pytest.mark.parametrize("limit", ["much", "-1", "nan"])
def test_a_limit_that_is_not_a_number_is_rejected_before_the_work(tmp_path, cache, monkeypatch, limit):
    make_large(monkeypatch)
    monkeypatch.setenv("GATEWISE_CACHE_LIMIT", limit)
    with pytest.raises(ValueError, match=f"GATEWISE_CACHE_LIMIT: expected a number of gigabytes, .* got '{limit}'"):
        train(tmp_path, "label")


def train_killed(kind, rows, case, folder, data):
    """Train in a process of its own, which kills itself while it writes some rows of one kind to the cache."""
    example_store.IN_MEMORY = 200
    appended = Counter()
    append = RowWriter.append

    def killing(self, **row):
        of = "examples" if "json" in row else "splits" if "held_out" in row else "tokens"
        appended[of] += 1
        if appended[kind] == rows:
            os.kill(os.getpid(), signal.SIGKILL)
        append(self, **row)

    RowWriter.append = killing
    train(folder, case, data=data, epochs=1)


@pytest.mark.parametrize(
    ("case", "kind", "rows"), [("label", "examples", 30), ("tags", "splits", 5), ("features", "tokens", 70)]
)
def test_what_a_killed_process_has_written_is_not_taken_for_whole(tmp_path, case, kind, rows, cache, monkeypatch):
    whole = train(tmp_path, case, out=tmp_path / "whole", epochs=1)
    (data,) = whole.options.data
    process = Forked(train_killed, kind, rows, case, tmp_path, data)
    assert process.wait(60) == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    found = entries(cache)
    left = [name for names in found.values() for name in names if name.startswith(build_cache.WORK)]
    assert left  # it was killed in the midst of it
    of_kind = [name for name in found[kind] if not name.startswith(build_cache.WORK)]
    assert len(of_kind) == (1 if kind == "tokens" and rows > 64 else 0)
    make_large(monkeypatch)
    again = train(tmp_path, case, data=data, epochs=1)
    assert again.final_scores() == whole.final_scores()
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def train_or_resume_large(case, folder, data):
    """In a process of its own, which saves as often as it can."""
    example_store.IN_MEMORY = 200
    state_file.SAVE_EVERY_SECONDS = 0.02
    if (folder / "run" / "run.json").exists():
        resume(folder / "run")
    else:
        train(folder, case, data=data, epochs=8)


def test_a_killed_run_on_the_cache_resumes_with_the_same_losses(tmp_path, cache, monkeypatch):
    whole = train(tmp_path, "label", out=tmp_path / "whole", epochs=8)
    (data,) = whole.options.data
    metrics = tmp_path / "run" / "metrics.csv"
    for rows in (15, 40):
        process = Forked(train_or_resume_large, "label", tmp_path, data)
        ends = time.monotonic() + 60
        while (metrics.read_text().count("\n") if metrics.exists() else 0) < rows:
            assert time.monotonic() < ends
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    data.unlink()  # the rows are those of the cache
    make_large(monkeypatch)
    again = resume(tmp_path / "run")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert again.final_scores() == whole.final_scores()


def child_of_large(folder):
    """One of the processes of a run, for which all tables are too large for memory."""
    example_store.IN_MEMORY = 200
    child.main(folder)


def test_two_processes_on_the_cache_train_and_score_as_one(tmp_path, cache, monkeypatch, capfd):
    options = {"dropout": 0.0, "unknown_weight": 0.0, "precision": "64", "batch": 6, "longest": 4}
    make_large(monkeypatch)
    one = train(tmp_path, "label", out=tmp_path / "one", **options)
    found = entries(cache)
    shutil.rmtree(cache)
    monkeypatch.setattr(
        processes,
        "subprocess",
        SimpleNamespace(
            Popen=lambda command, *, env, stdin, start_new_session: Forked(
                child_of_large, Path(command[-1]), env={**env, "OMP_NUM_THREADS": "1"}
            ),
            PIPE=subprocess.PIPE,
        ),
    )
    (data,) = one.options.data
    capfd.readouterr()
    two = train(tmp_path, "label", data=data, devices=2, **options)
    said = capfd.readouterr().err
    assert "in 2 processes" in said
    assert f"mapped from {cache / 'examples'}" in said
    assert entries(cache) == found  # what two processes want is made once
    assert not any(name.startswith(build_cache.WORK) for names in found.values() for name in names)
    mean = [[float(row[3]) for row in losses(run)[1:] if row[3]] for run in (tmp_path / "one", tmp_path / "run")]
    assert len(mean[0]) > 10
    assert mean[1] == pytest.approx(mean[0], rel=1e-9)
    scores = [trained.final_scores()["held_out"] for trained in (one, two)]
    assert scores[1]["loss"] == pytest.approx(scores[0]["loss"], rel=1e-9)
    assert scores[1]["accuracy"] == scores[0]["accuracy"]
