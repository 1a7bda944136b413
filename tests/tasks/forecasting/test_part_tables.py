"""The held-out steps and those of the test in tables of their own."""

import pandas
import pytest

import gatewise
from gatewise.tasks.api import resume
from tests.tasks.forecasting.small import SMALL, monthly, one_series


def parts(folder, *ends, names=("data", "valid", "test")):
    """One series in several tables."""
    rows = [f"{time},{value}\n" for time, value in monthly(ends[-1])]
    paths = []
    for name, begin, end in zip(names, (0, *ends), ends, strict=False):
        path = folder / f"{name}.csv"
        path.write_text("month,sales\n" + "".join(rows[begin:end]))
        paths.append(path)
    return paths


def train(folder, **changes):
    return gatewise.train("forecast", **{**SMALL, "epochs": 1, "out": folder / "run", **changes})


def test_tables_of_parts_are_as_steps_of_one_table(tmp_path):
    data, valid, test = parts(tmp_path, 64, 80, 96)
    of_tables = train(tmp_path, data=data, valid=valid, test=test)
    of_steps = train(tmp_path, data=one_series(tmp_path), held_out=16, test=16, out=tmp_path / "steps")
    assert of_tables.final_scores() == of_steps.final_scores()
    assert of_tables.final_scores()["test"]["forecasts"] == 16 - 3
    assert gatewise.load(tmp_path / "run").evaluate() == of_tables.final_scores()
    assert f'test = "{test}"' in (tmp_path / "run" / "config.toml").read_text()
    of_tables.folder.scores.unlink()
    assert resume(tmp_path / "run").final_scores() == of_steps.final_scores()
    # The same rows, cut elsewhere.
    parts(tmp_path, 60, 80, 96)
    with pytest.raises(ValueError, match=r"the data has changed since the run began \(parts: "):
        gatewise.load(tmp_path / "run").evaluate()


def test_a_table_for_the_test_alone_and_one_that_decides_alone(tmp_path):
    data, test = parts(tmp_path, 80, 96, names=("data", "test"))
    scores = train(tmp_path, data=data, test=test, held_out=16).final_scores()
    other = train(tmp_path, data=one_series(tmp_path), held_out=16, test=16, out=tmp_path / "steps").final_scores()
    assert scores == other
    alone = train(tmp_path, data=data, valid=test, out=tmp_path / "valid").final_scores()
    assert list(alone) == ["held_out"]
    assert alone["held_out"]["forecasts"] == 16 - 3


def test_tables_of_parts_of_rows_and_of_a_data_frame(tmp_path):
    pandas = pytest.importorskip("pandas")
    data, test = parts(tmp_path, 80, 96, names=("data", "test"))
    stamped = train(tmp_path, data=data, test=test, calendar=False, season=12).final_scores()
    frame = pandas.read_csv(data)
    of_frame = train(tmp_path, data=frame, test=test, calendar=False, season=12, out=tmp_path / "frame")
    assert of_frame.final_scores() == stamped
    test.unlink()
    assert gatewise.load(tmp_path / "frame").evaluate() == stamped  # a copy is kept
    data, test = parts(tmp_path, 80, 96, names=("data", "test"))
    options = {"time_column": "row", "value_columns": "sales", "season": 12}
    rows = train(tmp_path, data=data, test=test, out=tmp_path / "rows", **options).final_scores()
    assert rows["test"]["mae"] == stamped["test"]["mae"]


def test_tables_that_do_not_follow_the_data(tmp_path):
    data, test = parts(tmp_path, 80, 96, names=("data", "test"))
    with pytest.raises(ValueError, match=r"series 'sales': the tables of its parts \(data, valid, test\) overlap"):
        train(tmp_path, data=test, test=data)
    with pytest.raises(ValueError, match=r"data\.csv: expected 4 steps at least, the horizon, after the end"):
        train(tmp_path, data=data, test=data, valid=test)  # no row of it is new
    _, short = parts(tmp_path, 80, 83, names=("data", "test"))
    with pytest.raises(
        ValueError, match=r"test\.csv: expected 4 steps at least, the horizon, after the end of a series"
    ):
        train(tmp_path, data=data, test=short)
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        train(tmp_path, data=data, test=tmp_path / "none.csv")
    assert not (tmp_path / "run").exists()


def test_the_tables_of_parts_are_kept_like_the_data(tmp_path):
    paths = parts(tmp_path, 64, 80, 96)
    data, valid, test = paths
    scores = train(tmp_path, data=data, valid=valid, test=test, keep_data=True).final_scores()
    frames = {path.stem: pandas.read_csv(path) for path in paths}
    of_frames = train(tmp_path, **frames, out=tmp_path / "frames")
    for path in paths:
        path.unlink()
    run = gatewise.load(tmp_path / "run")
    assert (run.options.valid, run.options.test) == tuple(
        tmp_path / "run" / f"{name}-1-{name}.csv" for name in ("valid", "test")
    )
    assert run.evaluate() == scores == of_frames.final_scores() == gatewise.load(tmp_path / "frames").evaluate()
    assert 'valid = "valid-1-valid.parquet"' in (tmp_path / "frames" / "config.toml").read_text()
    with pytest.raises(FileNotFoundError):
        train(tmp_path, data=data, test=test, keep_data=True, out=tmp_path / "more")
