"""Rows that come one by one, with covariates of the steps to come."""

import json
import re
from datetime import date, timedelta

import pytest

import gatewise
from tests.tasks.forecasting.small import SMALL, many_series, one_series, standard_input

KINDS = {"direct": {}, "recursive": {"strategy": "recursive", "output": "point", "cell": "lstm"}}
HEAD = "day,shop,sales,offer\n"


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("follow")
    options = {"series_column": "shop", "covariate_columns": ["offer"], **KINDS[request.param]}
    return gatewise.train("forecast", data=many_series(folder), out=folder / "run", **{**SMALL, **options})


def day(number):
    return str(date(2021, 1, 1) + timedelta(number))


def row(number, value="", offer=0):
    return f"{day(number)},north,{value},{offer}\n"


def message(trained, monkeypatch, rows, *history):
    standard_input(monkeypatch, "".join([HEAD, *rows]))
    return [json.loads(line) for line in trained.follow(history)]


def whole(trained, tmp_path, rows):
    path = tmp_path / "whole.csv"
    path.write_text("".join([HEAD, *rows]))
    (found,) = trained.predict(path)
    return found


def test_the_forecasts_are_those_of_the_whole_table(trained, tmp_path, monkeypatch):
    valued = [row(index, 10 + index % 7, index % 3 == 0) for index in range(30)]
    history = tmp_path / "history.csv"
    history.write_text("".join([HEAD, *valued[:20], *(row(index, "", index % 2) for index in (20, 21, 23))]))
    # No row has step 25: it is as the one before. Steps 20, 21 and 23 have no values.
    coming = [valued[22], *(row(index, offer=index % 2) for index in (23, 24, 26)), valued[24]]
    coming += [*(row(index, offer=index % 2) for index in range(26, 29)), valued[27]]
    found = message(trained, monkeypatch, coming, history)
    assert [one["time"] for one in found] == [day(22), day(24)]
    known = [*valued[:20], row(20), row(21, offer=1)]
    since = coming[:4], [valued[22], row(23, offer=1), *coming[4:8]]
    for one, more in zip(found, since, strict=True):
        expected = whole(trained, tmp_path, [*known, *more])
        assert expected.after == one["time"]
        assert one["forecast"] == pytest.approx(expected.values, rel=1e-5)


def test_one_series_waits_with_one_notice(trained, monkeypatch, capsys):
    rows = [row(0, 10), row(1, 11), row(2, 12), *(row(index) for index in range(3, 7)), row(3, 11), row(4, 11, 1)]
    found = message(trained, monkeypatch, rows)
    assert [one["time"] for one in found] == [day(2)]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert lines == [
        f"warning: standard input: line {line}: series 'north': no offer at {day(step)}; forecasts continue once rows "
        "without a value have the covariates of all 4 steps to come"
        for line, step in ((2, 1), (9, 7))
    ]


def test_a_covariate_that_changes_gives_another_forecast(trained, monkeypatch, capsys):
    ahead = [row(index) for index in range(1, 5)]
    found = message(
        trained, monkeypatch, [*ahead, row(0, 10), row(2, offer=1), row(2, offer=1), row(9), row(0, offer=1)]
    )
    assert [one["time"] for one in found] == [day(0)] * 2
    assert found[0]["forecast"] != found[1]["forecast"]
    assert "line 10: the row is not after the row before it; skipped" in capsys.readouterr().err


def test_rows_without_time_stamps_cannot_announce(tmp_path):
    lines = one_series(tmp_path).read_text().splitlines()
    table = tmp_path / "rows.csv"
    table.write_text(
        "".join(f"{line.split(',')[1]},{index % 2 if index else 'odd'}\n" for index, line in enumerate(lines))
    )
    options = {"time_column": "row", "covariate_columns": ["odd"], "value_columns": ["sales"]}
    trained = gatewise.train("forecast", data=table, out=tmp_path / "run", **{**SMALL, **options, "epochs": 1})
    message = "follow: this model reads covariates, and rows without time stamps cannot say which steps to come"
    with pytest.raises(ValueError, match=re.escape(message)):
        trained.follow()
