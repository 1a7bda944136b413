"""A text too large for memory: encoded once into the cache, with the losses and scores of one in memory."""

import fcntl
import json
import os
import re
import shutil

import pytest

import gatewise
from gatewise.compiler import build_cache
from gatewise.data import shards, subwords, text, texts
from gatewise.tasks import data_cache
from gatewise.tasks.api import resume
from gatewise.tasks.language_model import corpus, encoded_corpus
from gatewise.tasks.prediction_request import PredictionRequest
from tests.tasks.small import TEXT, losses, train_small, train_until_a_step_breaks

UNITS = {"char": {}, "word": {"window": 20}, "bpe": {"vocabulary_size": 270}}


def make_large(monkeypatch):
    """Every text but the shortest is too large for memory."""
    monkeypatch.setattr(texts, "IN_MEMORY", 50)
    monkeypatch.setattr(texts, "CHUNK", 100)
    monkeypatch.setattr(shards, "SHARD", 64)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The tokens of the cache."""
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path / "cache"))
    make_large(monkeypatch)
    return tmp_path / "cache" / "tokens"


def entries(cache):
    return sorted(path.name for path in cache.iterdir()) if cache.exists() else []


@pytest.fixture(params=UNITS)
def unit(request):
    return {"unit": request.param, **UNITS[request.param]}


def test_training_and_scores_are_those_of_a_text_in_memory(tmp_path, unit, monkeypatch, capsys):
    cache = tmp_path / "cache" / "tokens"
    monkeypatch.setenv("GATEWISE_CACHE", str(cache.parent))
    whole = train_small(tmp_path, **unit, out=tmp_path / "whole")
    again = whole.evaluate(tmp_path / "text.txt")
    assert "mapped from" not in capsys.readouterr().err
    assert not cache.exists()
    make_large(monkeypatch)
    stored = train_small(tmp_path, **unit)
    (key,) = entries(cache)
    assert f"mapped from {cache / key}" in capsys.readouterr().err
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    for name in ("scores.json", "vocabulary.json", "config.toml"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert json.loads(stored.folder.description.read_bytes())["sha256"] == {"data": text.sha256(TEXT)}
    assert stored.evaluate() == stored.final_scores() == whole.final_scores()
    assert entries(cache) == [key]
    assert stored.evaluate(tmp_path / "text.txt") == again
    assert len(entries(cache)) == 2


def test_the_tokens_of_a_large_file_are_scored_as_those_of_a_text(tmp_path, cache, unit, capsys):
    trained = train_small(tmp_path, **unit)
    (tmp_path / "other.txt").write_text(f"{TEXT}ŵ")
    before = entries(cache)
    capsys.readouterr()
    expected = [score._asdict() for score in trained.score(f"{TEXT}ŵ", 2)]
    said = capsys.readouterr().err
    assert ("1 of 817 characters are not in the model's vocabulary ('ŵ')" in said) == (unit["unit"] == "char")
    found = [
        json.loads(line) for line in trained.predict_requested(PredictionRequest(score=tmp_path / "other.txt", top_k=2))
    ]
    assert found == json.loads(json.dumps(expected))
    assert capsys.readouterr().err == said
    assert len(entries(cache)) == len(before) + 1


def test_a_run_is_resumed_from_the_cache_without_its_files(tmp_path, cache):
    train_small(tmp_path, out=tmp_path / "whole")
    train_until_a_step_breaks(5, tmp_path)
    (tmp_path / "text.txt").unlink()
    resume(tmp_path / "run")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert gatewise.evaluate(tmp_path / "run") == gatewise.load(tmp_path / "run").final_scores()
    shutil.rmtree(cache)
    with pytest.raises(FileNotFoundError, match=re.escape("text.txt")):
        gatewise.evaluate(tmp_path / "run")
    (tmp_path / "text.txt").write_text(TEXT.upper())
    with pytest.raises(ValueError, match="the data has changed since the run began"):
        gatewise.evaluate(tmp_path / "run")


def test_the_same_data_is_encoded_once_and_another_split_again(tmp_path, cache, monkeypatch):
    encoded = []
    store = encoded_corpus.store_texts
    monkeypatch.setattr(encoded_corpus, "store_texts", lambda *args: (encoded.append(1), store(*args)))
    train_small(tmp_path, epochs=1)
    train_small(tmp_path, epochs=1, hidden=9, out=tmp_path / "other")
    assert len(encoded) == 1
    train_small(tmp_path, epochs=1, held_out=0.2, out=tmp_path / "another")
    assert len(encoded) == 2


def test_the_vocabulary_of_the_same_text_is_learned_once_and_by_other_options_again(
    tmp_path, cache, monkeypatch, capsys
):
    monkeypatch.setattr(corpus, "SAMPLE", 300)
    learned = []
    build = encoded_corpus.build_vocabulary
    monkeypatch.setattr(encoded_corpus, "build_vocabulary", lambda *args: (learned.append(args[2]), build(*args))[1])
    options = {"unit": "bpe", "window": 20, "epochs": 1}
    first = train_small(tmp_path, **options, vocabulary_size=270)
    fact = re.search("learned from a sample.*", capsys.readouterr().err)
    again = train_small(tmp_path, **options, vocabulary_size=270, hidden=9, out=tmp_path / "again")
    assert re.search("learned from a sample.*", capsys.readouterr().err)[0] == fact[0]
    assert learned == [270]
    assert again.vocabulary.to_json() == first.vocabulary.to_json()
    train_small(tmp_path, **options, vocabulary_size=271, out=tmp_path / "larger")
    train_small(tmp_path, **options, vocabulary_size=270, held_out=0.15, out=tmp_path / "shorter")
    (tmp_path / "text.txt").write_text(TEXT.upper())
    train_small(tmp_path, **options, vocabulary_size=270, out=tmp_path / "other")
    assert learned == [270, 271, 270, 270]
    for entry in (cache.parent / "vocabularies").iterdir():
        (entry / "vocabulary.json").write_text("{")
    train_small(tmp_path, **options, vocabulary_size=270, out=tmp_path / "spoiled")
    assert learned == [270, 271, 270, 270, 270]


def test_a_second_process_waits_for_the_tokens_of_the_first(tmp_path, cache, monkeypatch, capsys):
    train_small(tmp_path, epochs=1)
    (key,) = entries(cache)
    (cache / key).rename(tmp_path / "kept")
    path = cache / f"{build_cache.WORK}{key}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        said: list[str] = []

        def say(line):
            said.append(line)
            (tmp_path / "kept").rename(cache / key)
            fcntl.flock(file, fcntl.LOCK_UN)
            monkeypatch.setattr(encoded_corpus, "store_texts", None)

        monkeypatch.setattr(data_cache, "say", say)
        gatewise.evaluate(tmp_path / "run")
    assert said == [f"waiting for another process, which encodes the same text into {cache / key}"]
    assert entries(cache) == [key]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entry: (entry / "texts.json").unlink(),
        lambda entry: (entry / "texts.json").write_text("{}"),
        lambda entry: (entry / "training-00001.bin").unlink(),
        lambda entry: (entry / "held_out-00000.bin").write_bytes(b"1"),
    ],
)
def test_what_is_incomplete_in_the_cache_is_encoded_again(tmp_path, cache, spoil):
    trained = train_small(tmp_path, epochs=1)
    (key,) = entries(cache)
    spoil(cache / key)
    assert trained.evaluate() == trained.final_scores()
    assert entries(cache) == [key]


def test_a_killed_process_leaves_no_entry_and_its_rest_is_removed_later(tmp_path, cache, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(encoded_corpus, "store_texts", killed)
        with pytest.raises(KeyboardInterrupt):
            train_small(tmp_path)
    assert entries(cache) == []
    assert not (tmp_path / "run").exists()
    rest = cache / f"{build_cache.WORK}rest"
    rest.mkdir()
    os.utime(rest, (0, 0))
    train_small(tmp_path, epochs=1)
    assert len(entries(cache)) == 1
    assert not rest.exists()


def test_a_cache_that_others_can_write_to_is_rejected_before_the_work(tmp_path, cache, monkeypatch):
    cache.parent.mkdir(mode=0o700)
    cache.parent.chmod(0o777)
    monkeypatch.setattr(corpus.Sample, "chunks", None)
    with pytest.raises(
        PermissionError, match=r"can be written by others \(chmod go-w\); what is made of .* with GATEWISE_CACHE"
    ):
        train_small(tmp_path)


def test_a_full_disk_is_found_before_the_work(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(ValueError, match=r"the tokens of the data need 0\.0 GB, and 0\.0 GB are free; set the env"):
        train_small(tmp_path)
    assert entries(cache) == []


@pytest.mark.parametrize("unit", ["word", "bpe"], indirect=True)
def test_words_and_byte_pairs_of_a_large_text_are_learned_from_a_stated_sample(
    tmp_path, unit, cache, monkeypatch, capsys
):
    monkeypatch.setattr(corpus, "SAMPLE", 300)
    trained = train_small(tmp_path, **unit, epochs=1)
    assert re.search(r"learned from a sample of 3\d\d characters \(every part of 3\)", capsys.readouterr().err)
    assert trained.evaluate()["held_out"]["unknown_tokens"] == 0


def test_patterns_and_folders_are_data(tmp_path, cache):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(TEXT[number * 300 : number * 300 + 300])
    trained = train_small(tmp_path, data=(folder / "*.txt",), epochs=1)
    other = train_small(tmp_path, data=(folder,), epochs=1, out=tmp_path / "other")
    assert trained.final_scores() == other.final_scores()
    assert trained.evaluate([folder]) == trained.evaluate(sorted(folder.iterdir()))
    with pytest.raises(ValueError, match=r"\*\.text: no file matches this pattern"):
        train_small(tmp_path, data=(folder / "*.text",), out=tmp_path / "none")


def test_an_inspection_reads_no_more_of_a_text_than_it_needs(tmp_path, unit, cache, monkeypatch):
    monkeypatch.setattr(subwords, "_PART", 70)
    monkeypatch.setattr(subwords, "_BATCH", 1)
    trained = train_small(tmp_path, **unit, epochs=1)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "1.txt").write_text(TEXT)
    (tmp_path / "corpus" / "2.txt").write_bytes(b"caf\xe9")
    whole = gatewise.inspect(trained.folder.path, TEXT, steps=10)
    found = gatewise.inspect(trained.folder.path, data=tmp_path / "corpus", steps=10)
    assert found.tokens == whole.tokens
    assert len(found.tokens) == 10
    with pytest.raises(ValueError, match=r"2\.txt: line 1: not UTF-8"):
        gatewise.inspect(trained.folder.path, data=tmp_path / "corpus", steps=2000)
