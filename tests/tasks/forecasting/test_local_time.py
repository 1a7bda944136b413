"""Forecasts of series in local time: trained, predicted and followed through the hour that comes twice."""

import json
import math

import numpy as np
import pytest

import gatewise
from gatewise.data.time_zones import to_local
from tests.tasks.forecasting.small import SMALL, standard_input

ZONE = "Europe/Berlin"


def local_hours(first, count):
    instants = np.datetime64(first, "us") + np.arange(count) * np.timedelta64(1, "h")
    return [str(stamp)[:16].replace("T", " ") for stamp in to_local(instants, ZONE)]


def rows(first, count):
    stamps = [stamp.replace(" ", ",") for stamp in local_hours(first, count)]
    return [f"{stamp},{10 + math.sin(index / 4):.4f}\n" for index, stamp in enumerate(stamps)]


def test_local_time_in_two_columns(tmp_path, monkeypatch):
    history = tmp_path / "history.csv"
    history.write_text("day,clock,v\n" + "".join(rows("2020-03-27T00:00", 100)))  # an hour is missing in it
    options = {"time_column": "day,clock", "time_zone": ZONE, "data": history, "out": tmp_path / "run"}
    trained = gatewise.train("forecast", **{**SMALL, "epochs": 1, **options})
    assert trained.preprocessing.cycles == ("day",)
    (found,) = trained.predict()
    assert found.after == "2020-03-31 05:00+02:00"
    # 22:00, 23:00 in UTC, and so on: the third row of the doubled hour is the next one.
    coming = rows("2020-10-24T22:00", 6)
    assert [row.split(",")[1] for row in coming] == ["00:00", "01:00", "02:00", "02:00", "03:00", "04:00"]
    standard_input(monkeypatch, "".join(["day,clock,v\n", *coming]))
    lines = [json.loads(line) for line in gatewise.load(tmp_path / "run").follow()]
    assert [line["time"][11:] for line in lines] == [
        *("00:00+02:00", "01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00", "04:00+01:00")
    ]
    table = tmp_path / "coming.csv"
    table.write_text("".join(["day,clock,v\n", *coming]))
    (whole,) = trained.predict(table)
    assert whole.after == lines[-1]["time"]
    assert whole.values == pytest.approx(lines[-1]["forecast"], rel=1e-5)


def test_time_zones_are_checked_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"time_zone: expected the name of a time zone, such as .*, got 'Berlin'"):
        gatewise.train("forecast", data=tmp_path / "none.csv", time_zone="Berlin", out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"time_zone: .*rows are steps"):
        gatewise.train("forecast", data=tmp_path / "none.csv", time_column="row", time_zone=ZONE, out=tmp_path / "run")
