"""``gatewise train forecast`` and what follows it, as a user types it."""

import csv
import io
import json
import math
import os
import subprocess
import sys

import pytest

import gatewise
from tests.cli.command_line import check_mistake, leave, suggested_commands
from tests.tasks.forecasting.small import one_series, standard_input

SMALL = ["--hidden", "8", "--epochs", "2", "--batch", "8", "--horizon", "4", "--window", "12"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecast")
    data = one_series(folder)
    assert leave("train", "forecast", "--data", data, "--out", folder / "run", *SMALL) == 0
    (folder / "twice.csv").write_text("month,sales\n2000-01,1\n2000-01,2\n2000-02,3\n")
    (folder / "odd.csv").write_text("time,sales\n2000-01-01,1\n2000-01-04,2\n2000-02-09,3\n2000-02-11,3\n")
    (folder / "short.csv").write_text("month,sales\n2000-01,1\n2000-02,2\n")
    (folder / "words.csv").write_text("month,sales\n2000-01,many\n")
    (folder / "empty.csv").write_text("month,sales\n")
    return folder


def test_training_prints_scores_baseline_and_suggestions(tmp_path, capsys):
    assert leave("train", "forecast", "--data", one_series(tmp_path), "--out", tmp_path / "run", *SMALL) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].split()[:6] == ["part", "series", "forecasts", "mae", "mse", "rmse"]
    assert [line.split("  ")[0] for line in lines[1:7]] == [
        "held out",
        "held out, baseline",
        "held out, last value",
        "test",
        "test, baseline",
        "test, last value",
    ]
    assert len(suggested_commands(out)) == 3
    assert leave("train", "forecast", "--resume", tmp_path / "run") == 0


def test_evaluate(folder, capsys):
    assert leave("evaluate", folder / "run", "--json") == 0
    assert json.loads(capsys.readouterr().out) == gatewise.evaluate(folder / "run")
    assert leave("evaluate", folder / "run", "--data", folder / "series.csv") == 0
    assert "data, baseline" in capsys.readouterr().out


def test_predict_a_file_or_the_standard_input(folder, capsys, monkeypatch):
    assert leave("predict", folder / "run", folder / "series.csv", "--format", "csv") == 0
    of_file = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(of_file)))
    assert [row["time"] for row in rows] == ["2008-01", "2008-02", "2008-03", "2008-04"]
    assert list(rows[0]) == ["series", "time", "forecast", "q0.1", "q0.9"]
    standard_input(monkeypatch, (folder / "series.csv").read_bytes())
    assert leave("predict", folder / "run", "--format", "csv") == 0
    assert capsys.readouterr().out == of_file


def test_inspect(folder, tmp_path, capsys):
    report = tmp_path / "page.html"
    assert leave("inspect", folder / "run", "--steps", "10", "--out", report) == 0
    title, head, *rows = capsys.readouterr().out.splitlines()
    assert title == "forecast of sales after 2007-12"
    assert head.split("  ")[0] == "time"
    assert [row[:7] for row in rows[:4]] == ["2008-01", "2008-02", "2008-03", "2008-04"]
    assert rows[-1] == f"report of 10 steps: {report}"
    assert leave("inspect", folder / "run", "--steps", "10", "--out", report, "--json") == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert list(found[0]) == ["series", "time", "forecast", "q0.1", "q0.9", "contributions"]
    most = sorted(found[3]["contributions"], key=lambda pair: -abs(pair[1]))[0]
    assert f"{most[0]} {most[1]:+.4g}, " in rows[3]
    assert [step for step, _ in found[0]["contributions"]] == [f"2007-{month:02d}" for month in range(3, 13)]


def test_forecast_is_written_before_the_next_row_arrives(folder):
    command = [sys.executable, "-m", "gatewise", "predict", str(folder / "run"), "--follow"]
    lines = (folder / "series.csv").read_text().splitlines(keepends=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines[0])
        for line in lines[1:4]:
            process.stdin.write(line)
            process.stdin.flush()
            message = json.loads(process.stdout.readline())
            assert message["time"] == line.split(",")[0]
            assert len(message["forecast"]) == len(message["q0.9"]) == 4
        process.stdin.close()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train forecast --data missing.csv", "missing.csv: No such file or directory"),
        ("train forecast --data series.txt", "series.txt: expected a name ending in .csv, .tsv, .jsonl, .parquet"),
        ("train forecast --data twice.csv", "line 2 and line 3 have the same time stamp 2000-01 and different numbers"),
        ("train forecast --data odd.csv", "odd.csv: the time stamps are irregular"),
        ("train forecast --data short.csv", "series 'sales' has 2 steps and none has more: too few to learn from"),
        ("train forecast --data words.csv", "words.csv: line 2: column 'sales': expected a number, got 'many'"),
        ("train forecast --data empty.csv", "empty.csv: there are no rows in it"),
        ("train forecast --data series.csv --time-column when", "no column 'when'"),
        ("train forecast --data series.csv --value-columns price", "no column 'price'"),
        ("train forecast --data series.csv --horizon 80", "too few to learn from with a horizon of 80"),
        ("train forecast --data series.csv --cell nothing", "nothing"),
        (
            "train forecast --strategy recursive --output quantile",
            "quantiles of one step do not determine those of the next",
        ),
        ("evaluate run --data short.csv", "2 steps are too few to score forecasts of 4"),
        ("predict run words.csv", "words.csv: line 2: column 'sales': expected a number, got 'many'"),
        ("predict run odd.csv", "no column 'month'"),
        (
            "predict run series.csv --format columns",
            "format: expected jsonl, csv or parquet for this model, got columns",
        ),
        (
            "predict run series.csv --prompt a",
            "--prompt is not supported by this model (only a language model",
        ),
        (
            "inspect run --text a",
            "--text is not supported by this model (it reads series; give --data, or nothing)",
        ),
        ("inspect run --series shop", "series: expected the name of one, such as 'sales'; got 'shop'"),
        ("inspect run --data words.csv", "words.csv: line 2: column 'sales': expected a number, got 'many'"),
    ],
)
def test_usage_error_is_one_line_and_writes_nothing(folder, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folder)
    check_mistake(folder, capsys, words, message)


def test_invalid_row_is_skipped_with_a_warning(folder, monkeypatch, capsys):
    standard_input(monkeypatch, "month,sales\n2000-01,1\n2000-02,much\n2000-03,2\n")
    assert leave("predict", folder / "run", "--follow") == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["time"] for line in captured.out.splitlines()] == ["2000-01", "2000-03"]
    assert captured.err.startswith("warning: standard input: line 3: column 'sales': expected a number")
    assert captured.err.count("\n") == 1


def test_cells_of_a_stream_are_numbers(folder, monkeypatch, capsys):
    standard_input(monkeypatch, "month,sales\n2000-01,1\n2000-02,2\n")
    assert leave("predict", folder / "run", "--follow", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["time"] for row in rows] == ["2000-01", "2000-02"]
    steps = [f"{name}_{step}" for name in ("forecast", "q0.1", "q0.9") for step in (1, 2, 3, 4)]
    assert list(rows[0]) == ["series", "time", *steps]
    assert all(math.isfinite(float(rows[0][name])) for name in steps)


def test_stream_without_the_column_raises(folder, monkeypatch, capsys):
    standard_input(monkeypatch, "time,sales\n2000-01,1\n")
    assert leave("predict", folder / "run", "--follow") == 2
    captured = capsys.readouterr()
    message = "gatewise: error: standard input: line 1: no column 'month'; the line names 'time', 'sales'"
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1


def test_a_table_with_semicolons_and_decimal_commas(tmp_path, capsys, monkeypatch):
    rows = one_series(tmp_path).read_text().splitlines()
    lines = ["# of a spreadsheet", *(row.replace(",", ";").replace(".", ",") for row in rows)]
    (tmp_path / "sheet.csv").write_text("\n".join(lines) + "\n", encoding="utf-16")
    words = ["--separator", ";", "--decimal", ",", "--encoding", "utf-16", "--comments", "#"]
    data = tmp_path / "sheet.csv"
    assert leave("train", "forecast", "--data", data, *words, "--out", tmp_path / "sheet", *SMALL) == 0
    assert leave("train", "forecast", "--data", tmp_path / "series.csv", "--out", tmp_path / "plain", *SMALL) == 0
    assert gatewise.load(tmp_path / "sheet").final_scores() == gatewise.load(tmp_path / "plain").final_scores()
    capsys.readouterr()
    assert leave("predict", tmp_path / "plain", tmp_path / "series.csv") == 0
    expected = capsys.readouterr().out
    assert leave("predict", tmp_path / "sheet", data) == 0
    assert capsys.readouterr().out == expected
    text = "\n".join(lines[1:]) + "\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert leave("predict", tmp_path / "sheet") == 0
    assert capsys.readouterr().out == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert leave("predict", tmp_path / "sheet", "--follow") == 0
    assert len(capsys.readouterr().out.splitlines()) > 1
