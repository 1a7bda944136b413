"""``gatewise train lm``, ``evaluate`` and ``predict`` as a user types them."""

import csv
import json
import os
import re
import resource
import tomllib
from pathlib import Path

import pytest
from pyarrow import parquet

import gatewise
from gatewise.formatting import format_number
from gatewise.tasks.task_names import names, options_of
from tests.cli.command_line import check_mistake, leave, suggested_commands
from tests.tasks.small import TEXT, losses

SMALL = ["--hidden", "8", "--embedding", "4", "--epochs", "2", "--batch", "4", "--window", "50"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "text.txt").write_text(TEXT)
    assert leave("train", "lm", "--data", folder / "text.txt", "--out", folder / "run", *SMALL) == 0
    return folder / "run"


def test_training_prints_scores_a_sample_the_plot_and_suggestions(tmp_path, capsys):
    (tmp_path / "text.txt").write_text(TEXT)
    assert leave("train", "lm", "--data", tmp_path / "text.txt", "--out", tmp_path / "run", *SMALL) == 0
    out = capsys.readouterr().out
    assert "bits per character" in out
    assert re.search(r"^held out +80 ", out, re.MULTILINE)
    assert "sample:" in out
    assert str(tmp_path / "run" / "plot.png") in out
    assert f"  gatewise evaluate {tmp_path / 'run'}" in suggested_commands(out)


def test_precedence_of_flags_file_and_defaults(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    config = tmp_path / "config.toml"
    config.write_text(
        f'data = ["{tmp_path / "text.txt"}"]\nhidden = 8\nembedding = 8\ntie = true\nepochs = 1\nbatch = 4\n'
        'window = 50\nclip_value = 2.0\nschedule = "step"\ndecay-from = 3\n'
    )
    out = tmp_path / "run"
    assert leave("train", "lm", "--config", config, "--window", "25", "--out", out) == 0
    found = tomllib.loads((out / "config.toml").read_text())
    assert (found["window"], found["hidden"], found["tie"], found["decay_from"]) == (25, 8, True, 3)
    assert (found["clip_value"], found["cell"]) == (2.0, "lstm")
    assert "clip_norm" not in found
    # What a run leaves is a configuration again, on the command line and from Python.
    assert leave("train", "lm", "--config", out / "config.toml", "--out", tmp_path / "again") == 0
    gatewise.train("lm", config=out / "config.toml", out=tmp_path / "python")
    assert losses(tmp_path / "again") == losses(out) == losses(tmp_path / "python")


def test_several_files_after_one_flag(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(TEXT)
    arguments = ["--data", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "run"]
    assert leave("train", "lm", *arguments, *SMALL) == 0
    found = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert [Path(path).name for path in found["data"]] == ["a", "b"]


@pytest.mark.parametrize("task", names())
def test_every_option_has_a_help(capsys, task):
    assert leave("train", task, "--help") == 0
    words = capsys.readouterr().out.split()
    for name in options_of(task).__dataclass_fields__:
        flag = f"--{name.replace('_', '-')}"
        index = next(position for position, word in enumerate(words) if word.rstrip(":,") == flag)
        assert any(word.endswith(".") for word in words[index : index + 40]), flag


def test_the_table_and_the_json_of_evaluate(run, capsys):
    assert leave("evaluate", run) == 0
    table = capsys.readouterr().out.splitlines()
    assert leave("evaluate", run, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert table[0].split() == ["part", "tokens", "unknown", "tokens", "loss", "bits", "per", "character"]
    assert table[1].split()[-1] == format_number(found["held_out"]["bits_per_character"])
    assert found == gatewise.evaluate(run)


def test_evaluate_on_other_text(run, tmp_path, capsys):
    (tmp_path / "other.txt").write_text("the lazy fox € " * 10)
    assert leave("evaluate", run, "--json", "--data", tmp_path / "other.txt") == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert found["tokens"] == 149
    assert found["unknown_tokens"] == 10


def test_predict_writes_the_prompt_and_its_continuation(run, tmp_path, capsys):
    assert leave("predict", run, "--prompt", "the ", "--length", "20", "--seed", "1", "--top-k", "3") == 0
    out = capsys.readouterr().out
    assert out == "the " + gatewise.predict(run, "the ", 20, seed=1, top_k=3) + "\n"
    assert len(out) == 4 + 20 + 1
    arguments = ["--prompt", "the ", "--length", "20", "--seed", "1", "--top-k", "3", "--out", tmp_path / "text"]
    assert leave("predict", run, *arguments) == 0
    assert (tmp_path / "text").read_text() == out
    assert capsys.readouterr().out == ""


def test_predict_lists_the_next_tokens(run, capsys):
    assert leave("predict", run, "--prompt", "the ", "--next", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    expected = gatewise.load(run).next("the ", 3)
    assert lines == [f"{format_number(value):<6}  {token!r}" for token, value in expected]


@pytest.mark.parametrize("to_file", [False, True])
def test_predict_scores_every_position(run, tmp_path, capsys, to_file):
    (tmp_path / "text").write_text("the dog")
    arguments = ["--out", tmp_path / "scores.jsonl"] if to_file else []
    assert leave("predict", run, "--score", tmp_path / "text", "--top-k", "2", *arguments) == 0
    out = (tmp_path / "scores.jsonl").read_text() if to_file else capsys.readouterr().out
    found = [json.loads(line) for line in out.splitlines()]
    assert [record["token"] for record in found] == list("he dog")
    assert [record["position"] for record in found] == [1, 2, 3, 4, 5, 6]
    assert all(record["log_probability"] < 0 and len(record["top"]) == 2 for record in found)


def test_scores_of_tokens_as_tables(run, tmp_path):
    (tmp_path / "text").write_text("the dog")
    words = ["predict", run, "--score", tmp_path / "text", "--top-k", "2", "--out"]
    for ending in ("jsonl", "csv", "parquet"):
        assert leave(*words, tmp_path / f"scores.{ending}") == 0
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    tops = [{**row, "top": [{"token": one, "probability": value} for one, value in row["top"]]} for row in rows]
    assert parquet.read_table(tmp_path / "scores.parquet").to_pylist() == tops
    with (tmp_path / "scores.csv").open(newline="") as file:
        (first, *_) = csv.DictReader(file)
    assert float(first["top_1_probability"]) == tops[0]["top"][0]["probability"]
    assert first["token"] == "h"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--score text --out a.xlsx", "--out a.xlsx: expected a name that ends in one of .jsonl, .csv, .parquet"),
        ("--score text --format parquet", "--format parquet: a Parquet file is binary; name it with --out"),
        ("--prompt a --format csv", "--format is not supported by this model (generated text has none"),
    ],
)
def test_formats_of_scores_are_checked(run, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert leave("predict", run, *words.split()) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def bad_inputs(folder):
    (folder / "text.txt").write_text(TEXT)
    (folder / "empty.txt").touch()
    (folder / "short.txt").write_text("short")
    (folder / "latin1.txt").write_bytes("é".encode("latin-1"))
    (folder / "unknown.toml").write_text("hiden = 3\n")
    (folder / "value.toml").write_text('hidden = "many"\n')
    (folder / "no.toml").write_text("hidden 3\n")
    (folder / "fraction.toml").write_text("hidden = 3.5\n")
    (folder / "table.toml").write_text("[train]\nhidden = 3\n")
    (folder / "file").touch()
    (folder / "full").mkdir()
    (folder / "full" / "mine").touch()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train lm --data empty.txt", "empty.txt: the file is empty"),
        ("train lm --data latin1.txt", "latin1.txt: line 1: not UTF-8: byte 0xe9 at offset 0"),
        ("train lm --data missing.txt", "missing.txt: No such file or directory"),
        ("train lm --data short.txt", "too short for one window of 64 steps in each of 16 streams (1025 tokens)"),
        ("train lm --unit syllable", '"syllable"'),
        ("train lm --hidden 0", "hidden: expected a number at least 1, got 0"),
        ("train lm --hidden many", "many"),
        ("train lm --cell lstn", "did you mean lstm"),
        ("train lm --lr nan", "lr: expected a number above 0, got nan"),
        ("train lm --tie", "tie: needs an embedding as wide as the hidden state"),
        ("train lm --clip-norm 1 --clip-value 1", "exclude each other"),
        ("train lm --hidden 3.5", "--hidden: expected a whole number, got 3.5"),
        ("train lm --hidden 3.0", "--hidden: expected a whole number, got 3.0"),
        ("train lm --init-range 0.2", "init_range: has no effect: init is default, not uniform"),
        ("train lm --decay 0.2", "decay: has no effect: schedule is cosine, neither step nor plateau"),
        ("train lm --schedule plateau --decay-from 2", "decay_from: has no effect: schedule is plateau, not step"),
        ("train lm --valid text.txt --held-out 0.2", "held_out: has no effect: valid names the data to score"),
        ("train lm --unit char --vocabulary-size 9", "vocabulary_size: is for the units word and bpe"),
        ("train lm --config fraction.toml", "fraction.toml: hidden: expected int, got 3.5"),
        ("train lm --config table.toml", "table.toml: options stand at the top level, outside of tables; got the ta"),
        ("train lm --data text.txt --out file/run", "file: Not a directory"),
        ("train lm --resume full --config unknown.toml", "--config cannot be changed"),
        ("evaluate full --beam 2.5", "--beam: expected a whole number, got 2.5"),
        ("predict full --length 2.5", "--length: expected a whole number, got 2.5"),
        ("predict full --out missing/text", "missing/text: its folder does not exist; make it, or choose another"),
        ("predict full --out full", "full: is a folder; expected the name of a file to write"),
        ("train lm --config missing.toml", "missing.toml"),
        ("train lm --config unknown.toml", "hiden"),
        ("train lm --config value.toml", "many"),
        ("train lm --config no.toml", "no.toml"),
        ("train lm --data text.txt --window 10 --out full", "full: exists already"),
        ("train lm --resume missing", "missing: no such run folder"),
        ("train lm --resume full", "full: not a run folder of gatewise"),
        ("train lm --resume full --hidden 3 --tie", "--hidden, --tie cannot be changed"),
        ("train tagger", "tagger"),
        ("train tag --data", "--data: expected at least one value, got none; give one, or omit the option"),
        ("train lm --valid --hidden 3", "--valid: expected at least one value, got none"),
        ("evaluate full --data", "--data: expected at least one value, got none"),
        ("inspect full --data --steps 3", "--data: expected at least one value, got none"),
        ("evaluate missing", "missing: no such run folder"),
        ("evaluate full", "full: not a run folder of gatewise"),
        ("predict missing", "missing: no such run folder"),
        ("predict full --next 3 --score text.txt", "--next and --score exclude each other"),
    ],
)
def test_usage_error_is_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, words, message):
    bad_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    check_mistake(tmp_path, capsys, words, message)


@pytest.mark.parametrize("words", ["--top-p 0", "--temperature -1", "--top-k 0", "--next 0", "--length -1"])
def test_bad_sampling(run, capsys, words):
    assert leave("predict", run, *words.split()) == 2
    assert capsys.readouterr().err.startswith("gatewise: error: ")


@pytest.mark.parametrize("words", [[], ["--next", "3"]])
def test_a_prompt_that_is_not_utf8_writes_nothing(run, capsys, words):
    assert leave("predict", run, "--prompt", "the\udcff", *words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gatewise: error: --prompt: character 4 is the byte 0xff, which is not UTF-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--next 3 --temperature 0.5", "--temperature has no effect: --next lists tokens and samples none"),
        ("--next 3 --length 5", "--length has no effect: --next lists"),
        ("--next 3 --seed 5", "--seed has no effect: --next lists"),
        ("--score x --prompt a", "--prompt has no effect: --score reads its file and generates no text"),
        ("--score x --temperature 0.5", "--temperature has no effect: --score"),
        ("--temperature 0 --top-k 3", "top_k: has no effect: temperature 0 takes the most likely token"),
        ("--temperature 0 --top-p 0.3", "top_p: has no effect: temperature 0"),
    ],
)
def test_options_of_a_language_model_without_an_effect(run, capsys, words, message):
    assert leave("predict", run, *words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"gatewise: error: {message}")


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_language_model_rejects_the_standard_input(run, tmp_path, monkeypatch, capsys, kind):
    def stream(content):
        if kind == "file":
            (tmp_path / "text").write_text(content)
            return (tmp_path / "text").open()
        reader, writer = os.pipe()
        os.write(writer, content.encode())
        os.close(writer)
        return open(reader)

    with stream("some text\n") as text:
        monkeypatch.setattr("sys.stdin", text)
        assert leave("predict", run) == 2
        assert "a language model does not read the standard input; pass a" in capsys.readouterr().err
        # A loop of a shell over the lines of a file leaves the rest of them there.
        assert leave("predict", run, "--prompt", "the ", "--length", "3") == 0
        assert text.read() == "some text\n"
    with stream("") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert leave("predict", run, "--length", "3") == 0


def test_missing_device_is_reported_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("gatewise.tasks.language_model.training.read_corpus", None)
    check_mistake(tmp_path, capsys, "train lm --device cuda", "device: cuda was asked for, but torch finds no CUDA")


@pytest.mark.parametrize("limit", [100, 3000])
def test_a_full_disk(tmp_path, limit, monkeypatch, capsys):
    """A limit on the size of files replaces a full disk: too little for the options, or for the state."""
    (tmp_path / "text.txt").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        code = leave("train", "lm", "--data", "text.txt", "--out", "run", *SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert code == 2, said
    name = "config.toml" if limit == 100 else "weights.safetensors"
    assert said.splitlines()[-1] == f"gatewise: error: {Path('run') / name}: File too large"
    assert "Traceback" not in said
    # There is nothing to resume, and nothing to evaluate.
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
