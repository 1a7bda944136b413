"""``gatewise train classify``, ``tag``, ``numeric`` and ``seq2seq``, and what follows them, as a user types them."""

import csv
import io
import json
import re
import sys

import pytest
from pyarrow import parquet

import gatewise
from gatewise.tasks import trained
from tests.cli.command_line import check_mistake, leave, suggested_commands
from tests.kernels.engine import needs_engine
from tests.tasks.small_sequences import labelled_texts, numeric_sequences, reversed_words, tagged_words

SMALL = ["--hidden", "8", "--epochs", "12", "--batch", "8", "--lr", "0.02", "--dropout", "0.1"]
SMALL_TOKENS = ["--embedding-size", "6", "--character-embedding", "4", "--spelling-size", "6"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    texts, words, numbers = labelled_texts(folder), tagged_words(folder), numeric_sequences(folder, "sequence")
    assert leave("train", "classify", "--data", texts, "--out", folder / "classify", *SMALL, *SMALL_TOKENS) == 0
    tag = ["--data", words, "--output", "crf", "--no-lower", "--out", folder / "tag"]
    assert leave("train", "tag", *tag, *SMALL, *SMALL_TOKENS) == 0
    assert leave("train", "numeric", "--data", numbers, "--out", folder / "numeric", *SMALL) == 0
    pairs = ["--data", reversed_words(folder), "--unit", "word", "--embedding-size", "8", "--batch", "60"]
    assert leave("train", "seq2seq", *pairs, "--out", folder / "seq2seq", "--hidden", "16", "--lr", "0.02") == 0
    return folder


@pytest.mark.parametrize("task", ["classify", "tag", "numeric", "seq2seq"])
def test_a_run_prints_a_table_and_suggestions(tmp_path, capsys, task):
    make = {
        "classify": labelled_texts,
        "tag": tagged_words,
        "numeric": lambda index: numeric_sequences(index, "sequence"),
        "seq2seq": reversed_words,
    }
    assert leave("train", task, "--data", make[task](tmp_path), "--out", tmp_path / "run", "--epochs", "1") == 0
    out = capsys.readouterr().out
    assert out.startswith("part ")
    assert "baseline" in out
    assert len(suggested_commands(out)) == 3
    assert leave("train", task, "--resume", tmp_path / "run") == 0
    assert leave("train", "lm", "--resume", tmp_path / "run") == 2
    assert f"the run folder of another task ({task}), expected lm" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["classify", "tag", "numeric", "seq2seq"])
def test_evaluate(folder, capsys, task):
    assert leave("evaluate", folder / task, "--json") == 0
    assert json.loads(capsys.readouterr().out) == gatewise.evaluate(folder / task)


@needs_engine
@pytest.mark.parametrize(
    ("task", "precision"),
    [
        ("classify", "int8"),
        ("tag", "int8"),
        ("numeric", "int8"),
        ("seq2seq", "int8"),
        ("tag", "bf16"),
        ("seq2seq", "bf16"),
    ],
)
def test_evaluate_with_products_of_fewer_bits(folder, capsys, task, precision):
    assert leave("evaluate", folder / task, "--precision", precision, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["held_out"] == gatewise.evaluate(folder / task)["held_out"]
    narrow = gatewise.evaluate(folder / task, precision=precision)["held_out"]
    assert found[f"held_out, {precision}"] == narrow
    assert narrow != found["held_out"]  # the losses at least
    model = gatewise.load(folder / task)
    with model.in_precision(precision):
        assert all(
            layer._packed[0].precision == precision for layer in model.model.modules() if hasattr(layer, "_packed")
        )
    assert leave("evaluate", folder / task, "--precision", "int4") == 2


@needs_engine
@pytest.mark.parametrize("task", ["tag", "seq2seq"])
def test_evaluate_reads_model_and_data_once(folder, monkeypatch, task):
    read = []
    for module, name in ((trained, "load_best_model"), (trained.Trained, "_to_score")):
        found = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, _of=found: read.append(_of.__name__) or _of(*given))
    assert leave("evaluate", folder / task, "--precision", "int8", "--json") == 0
    assert read == ["load_best_model", "_to_score"]


@needs_engine
@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_predict_with_products_of_fewer_bits(folder, tmp_path, capsys, precision):
    (tmp_path / "texts.txt").write_text("good film\n", encoding="utf-8")
    of = ["predict", folder / "classify", tmp_path / "texts.txt", "--probabilities"]
    assert leave(*of) == 0
    floats = capsys.readouterr().out
    assert leave(*of, "--precision", precision) == 0
    narrow = capsys.readouterr().out
    assert narrow != floats
    assert json.loads(narrow).keys() == json.loads(floats).keys()


@pytest.mark.parametrize(
    ("task", "kinds"), [("classify", ["label"]), ("tag", ["entity", "tag"]), ("numeric", ["label"]), ("seq2seq", [])]
)
def test_evaluate_has_a_table_of_classes(folder, capsys, task, kinds):
    assert leave("evaluate", folder / task) == 0
    first, *tables = capsys.readouterr().out.split("\n\n")
    assert "per " not in first
    heads = [table.splitlines()[0].split() for table in tables]
    assert heads == [["held", "out,", "per", kind, "precision", "recall", "f1", "support"] for kind in kinds]
    scores = gatewise.evaluate(folder / task)["held_out"]
    for kind, table in zip(kinds, tables, strict=True):
        assert [line.split()[0] for line in table.splitlines()[1:]] == list(scores[f"per_{kind}"])


def test_predict_reads_the_standard_input(folder, capsys, monkeypatch):
    for task, text, expected in (
        ("classify", "lovely film\n", '"label": "good"'),
        ("tag", "to New York\n", "New\tB-LOC\nYork\tI-LOC\n"),
        ("seq2seq", "red\n", '{"source": "red", "answer": "red", "log_probability": -'),
        ("numeric", '{"steps": [[10, 0], [11, 0], [12, 0]]}\n\n', '{"label": "up"'),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert leave("predict", folder / task) == 0
        assert expected in capsys.readouterr().out


def test_predict_reads_files_and_writes_one(folder, tmp_path):
    out = tmp_path / "labels.csv"
    assert leave("predict", folder / "classify", folder / "texts.csv", "--format", "csv", "--out", out) == 0
    assert out.read_text().startswith("text,label,probability\n")
    assert len(out.read_text().splitlines()) == 81
    words = ["predict", folder / "classify", folder / "texts.csv", "--format", "csv", "--out", out, "--probabilities"]
    assert leave(*words) == 0
    assert out.read_text().startswith("text,label,probability,probabilities_bad,probabilities_good\n")
    assert leave("predict", folder / "numeric", folder / "sequence.jsonl", "--out", tmp_path / "a.jsonl") == 0
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["label"] in ("up", "down")


@pytest.mark.parametrize(
    ("task", "data"),
    [("classify", "texts.csv"), ("tag", "words.conll"), ("seq2seq", "texts.csv"), ("numeric", "sequence.jsonl")],
)
def test_the_name_of_the_output_says_its_format(folder, tmp_path, task, data, capsys):
    words = ["predict", folder / task, folder / data, *["--beam", "1"] * (task == "seq2seq")]
    for ending in ("jsonl", "csv", "parquet"):
        assert leave(*words, "--out", tmp_path / f"a.{ending}") == 0
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert parquet.read_table(tmp_path / "a.parquet").to_pylist() == rows
    with (tmp_path / "a.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) >= len(rows) > 0
    capsys.readouterr()
    assert leave(*words, "--out", tmp_path / "a.xlsx") == 2
    assert "a.xlsx: expected a name that ends in one of .jsonl, .csv, .parquet" in capsys.readouterr().err
    assert leave(*words, "--format", "parquet") == 2
    assert "--format parquet: a Parquet file is binary; name it with --out" in capsys.readouterr().err
    assert not (tmp_path / "a.xlsx").exists()


def test_columns_of_features_are_named(tmp_path, capsys):
    rows = [f"{number},{step},{number % 2},7,{'ab'[number % 2]}" for number in range(20) for step in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(["sequence,time,x,y,label", *rows]) + "\n")
    words = ["--feature-columns", "x", "y", "--out", tmp_path / "run", "--epochs", "1"]
    assert leave("train", "numeric", "--data", tmp_path / "a.csv", *words) == 0
    assert "features of a step: 2\n" in capsys.readouterr().err
    assert gatewise.load(tmp_path / "run").options.feature_columns == ("x", "y")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train classify --data missing.csv", "missing.csv: No such file or directory"),
        ("train classify --data words.conll", "words.conll: expected a name ending in .csv, .tsv, .jsonl, .parquet"),
        ("train classify --data texts.csv --pooling median", "median"),
        ("train classify --data texts.csv --label-column kind", "no column 'kind'"),
        ("train tag --data missing.conll", "missing.conll: No such file or directory"),
        ("train tag --data texts.csv --tag-column 9", "line 1: expected at least 9 columns"),
        ("train numeric", "data: name a file to learn from"),
        ("train numeric --data texts.csv", "no column 'sequence'"),
        ("evaluate classify --data words.conll", "words.conll: expected a name ending in"),
        (
            "predict classify --prompt a",
            "--prompt is not supported by this model (only a language model",
        ),
        (
            "predict classify texts.csv --format columns",
            "format: expected jsonl, csv or parquet for this model, got columns",
        ),
        ("train seq2seq --data missing.tsv", "missing.tsv: No such file or directory"),
        ("train seq2seq --data words.conll", "or two text files whose lines belong together, the sources first"),
        ("train seq2seq --data words.conll pairs.tsv", "words.conll: expected a name ending in .csv, .tsv"),
        ("train seq2seq --data pairs.tsv --beam 0", "beam: expected a number at least 1 and at most 1000, got 0"),
        ("train seq2seq --data pairs.tsv --attention luong-dot", "take general, or make them equal"),
        ("train seq2seq --data pairs.tsv --decoder-cell lsmt", "unknown cell 'lsmt'; did you mean lstm?"),
        ("train seq2seq --data builtin:letters", "one of builtin:dates, builtin:docstrings; got builtin:letters"),
        ("train classify --data builtin:dates", "one of builtin:docstrings; got builtin:dates"),
        ("train numeric --data builtin:dates", "data: expected files; got builtin:dates"),
        ("evaluate seq2seq --beam 1000000000", "beam: expected a number at least 1 and at most 1000, got 1000000000"),
        ("evaluate tag --beam 2", "--beam is not supported by this model (it has no beam search)"),
        ("predict tag words.conll --length-penalty 2", "--length-penalty is not supported by this model"),
        ("predict seq2seq words.conll --length-penalty -1", "length_penalty: expected a number at least 0"),
        (
            "predict seq2seq words.conll --top-k 2",
            "--top-k is not supported by this model (only a language model",
        ),
        (
            "predict seq2seq words.conll --format columns",
            "format: expected jsonl, csv or parquet for this model, got columns",
        ),
        (
            "predict classify texts.csv --input text",
            "--input is not supported by this model (only a tagger",
        ),
        ("predict tag words.conll --input lines", "lines"),
        (
            "predict tag words.conll --probabilities",
            "columns have a word and its tag alone; give --format jsonl, csv or parquet",
        ),
        ("predict seq2seq texts.csv --format text --probabilities", "text has the best answers alone"),
        ("predict tag missing.txt", "missing.txt: No such file or directory"),
    ],
)
def test_usage_error_is_one_line_and_writes_nothing(folder, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folder)
    check_mistake(folder, capsys, words, message)


def test_one_answer_per_line_and_search_options(folder, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("red\n\nblue\n")
    assert leave("predict", folder / "seq2seq", tmp_path / "texts.txt", "--format", "text", "--beam", "1") == 0
    assert capsys.readouterr().out == "red\n\nblue\n"
    (tmp_path / "pairs.tsv").write_text("red\tred\n")
    search = ["--beam", "2", "--length-penalty", "0.5"]
    assert leave("evaluate", folder / "seq2seq", "--data", tmp_path / "pairs.tsv", *search, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == gatewise.evaluate(folder / "seq2seq", tmp_path / "pairs.tsv", beam=2, length_penalty=0.5)
    with pytest.raises(ValueError, match=r"--beam is not supported by this model \(it has no beam search\)"):
        gatewise.evaluate(folder / "tag", beam=2)
    assert found["data"]["exact_match"] == 1.0


def test_inspect_attributes_the_prediction_to_words(folder, capsys):
    assert leave("inspect", folder / "classify", "--text", "it was a lovely film") == 0
    head, columns, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"prediction: good, probability 0\.\d+", head)
    assert columns.split() == ["token", "contribution"]
    word, value, bar = rows[3].split()
    assert (word, bar) == ("lovely", "+" * 20)
    assert float(value) > 0
    assert (folder / "classify" / "report.html").exists()


def test_inspect_prints_attributions_of_every_tag(folder, capsys):
    assert leave("inspect", folder / "tag", "--text", "to New York") == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[0] == ["token", "tag", "probability", "largest", "contributions"]
    assert [row[:2] for row in table[1:4]] == [["to", "O"], ["New", "B-LOC"], ["York", "I-LOC"]]
    assert any(row[:2] == ["recurrent.l0_reverse:", "the"] for row in table[4:])
    assert leave("inspect", folder / "tag", "--text", "to New York", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["prediction"] for one in found["predictions"]] == ["O", "B-LOC", "I-LOC"]
    assert [token for token, _ in found["predictions"][0]["contributions"]] == ["to", "New", "York"]
    assert isinstance(found["findings"], list)


def test_inspect_shows_attention(folder, tmp_path, capsys):
    assert leave("inspect", folder / "seq2seq", "--text", "red blue", "--out", tmp_path / "page.html") == 0
    first, head, *rows = capsys.readouterr().out.splitlines()
    answer = first.removeprefix("prediction: ").split()
    assert head.split() == ["token", "most", "attended"]
    assert [row.split()[0] for row in rows[: len(answer) + 1]] == [*answer, "<end>"]
    assert rows[len(answer) + 1] == f"plot: {tmp_path / 'page_attention.png'}"
    assert leave("inspect", folder / "seq2seq", "--text", "red blue", "--out", tmp_path / "page.html", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (one,) = found["predictions"]
    assert one["prediction"].split() == answer
    for look in one["attention"]:
        assert [token for token, _ in look["weights"]] == ["red", "blue", "<end>"]
        assert sum(weight for _, weight in look["weights"]) == pytest.approx(1, abs=1e-5)


def test_inspect_reports_unwatchable_models(folder, capsys):
    assert leave("inspect", folder / "numeric", "--text", "New York") == 2
    assert "text: a model of numbers reads none; name a file of sequences with data (--data)" in capsys.readouterr().err
    assert leave("inspect", folder / "classify", "--text", "New York", "--sequence", "2") == 2
    assert (
        "--sequence is not supported by this model (it does not read sequences of numbers)" in capsys.readouterr().err
    )


def test_inspect_attributes_predictions_to_steps_and_features(folder, capsys):
    data = folder / "sequence.jsonl"
    assert leave("inspect", folder / "numeric", "--data", data, "--sequence", "2") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    steps = json.loads(data.read_text().splitlines()[1])["steps"]
    assert re.fullmatch(r"prediction: (up|down), probability [01]\.\d+", head)
    assert rows[0].split() == ["step", "contribution"]
    assert [row.split()[0] for row in rows[1 : len(steps) + 1]] == [str(step + 1) for step in range(len(steps))]
    assert rows[len(steps) + 2].split() == ["feature", "contribution"]
    assert rows[len(steps) + 3].split()[0] == "1"
    assert rows[-1] == f"report of {len(steps)} steps: {folder / 'numeric' / 'report.html'}"
    assert leave("inspect", folder / "numeric", "--data", data, "--sequence", "2", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["predictions"]
    assert one["prediction"] == head.split()[1].rstrip(",")
    assert [step for step, _ in one["contributions"]] == [step + 1 for step in range(len(steps))]
    assert [name for name, _ in one["feature_contributions"]] == ["1", "2"]


def test_long_sequence_shows_the_largest_attributions(folder, tmp_path, capsys):
    steps = [[10 + step / 10, 0] for step in range(30)]
    (tmp_path / "long.jsonl").write_text(json.dumps({"steps": steps}) + "\n")
    assert leave("inspect", folder / "numeric", "--data", tmp_path / "long.jsonl") == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    displayed = [int(row.split()[0]) for row in rows[:20]]
    assert displayed == sorted(displayed)
    assert rows[20] == "10 steps with smaller contributions omitted"


def test_inspect_prints_attributions_of_every_step_and_the_next(tmp_path, capsys):
    data = numeric_sequences(tmp_path, "steps")
    for predict, head in (
        ("steps", ["step", "label", "probability", "largest", "contributions", "of", "steps", "of", "features"]),
        (
            "next",
            [
                "feature",
                "of",
                "the",
                "next",
                "step",
                "value",
                "largest",
                "contributions",
                "of",
                "steps",
                "of",
                "features",
            ],
        ),
    ):
        run = tmp_path / predict
        small = ["--hidden", "8", "--epochs", "1"]
        assert leave("train", "numeric", "--data", data, "--predict", predict, "--out", run, *small) == 0
        capsys.readouterr()
        assert leave("inspect", run, "--data", data) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert rows[0] == head
        count = len(json.loads(data.read_text().splitlines()[0])["steps"]) if predict == "steps" else 2
        assert [row[0] for row in rows[1 : count + 1]] == [str(number + 1) for number in range(count)]
        assert rows[count + 1] == []
