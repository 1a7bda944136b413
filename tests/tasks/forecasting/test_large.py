"""Series that are too many for memory: files that are mapped, and forecasts that are scored a part after the other."""

import json
import shutil

import pytest

import gatewise
from gatewise.data import row_collector
from gatewise.tasks import state_file
from gatewise.tasks.api import resume
from gatewise.tasks.forecasting import backtest
from tests.tasks.forecasting.small import SMALL, many_series
from tests.tasks.small import losses

COLUMNS = {"time_column": "day", "series_column": "shop", "covariate_columns": ("offer",)}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The rows of two series by turns, those of one of them in the wrong order; the cache is empty."""
    monkeypatch.setenv("GATEWISE_CACHE", str(tmp_path / "cache"))
    head, *rows = many_series(tmp_path).read_text().splitlines()
    north, south = ([row for row in rows if shop in row] for shop in ("north", "south"))
    together = [row for pair in zip(north, reversed(south), strict=False) for row in pair] + north[len(south) :]
    path = tmp_path / "together.csv"
    path.write_text("\n".join([head, *together]) + "\n")
    return path


def make_large(monkeypatch):
    monkeypatch.setattr(row_collector, "IN_MEMORY", 100)


def train(data, out, **changes):
    return gatewise.train("forecast", data=data, out=out, categorical=("shop",), **COLUMNS, **SMALL, **changes)


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_they_are_learned_from_as_those_in_memory(tmp_path, data, monkeypatch, capsys, strategy):
    in_memory = train(data, tmp_path / "a", strategy=strategy)
    assert not (tmp_path / "cache").exists()
    make_large(monkeypatch)
    capsys.readouterr()
    mapped = train(data, tmp_path / "b", strategy=strategy)
    assert "series: too many for memory; written to" in capsys.readouterr().err
    assert losses(tmp_path / "b") == losses(tmp_path / "a")
    assert mapped.final_scores() == in_memory.final_scores()
    assert mapped.evaluate(tmp_path / "toge*.csv") == mapped.evaluate(data)
    assert mapped.evaluate(data) == in_memory.evaluate(data)
    assert mapped.predict(data) == in_memory.predict(data)
    hashes = [json.loads((tmp_path / run / "run.json").read_text())["sha256"] for run in ("a", "b")]
    assert hashes[0] == hashes[1]
    # Nothing is left behind.
    assert not list((tmp_path / "cache" / "series").iterdir())


def test_forecasts_of_some_series_at_a_time_are_scored_as_all_together(tmp_path, data, monkeypatch, capsys):
    trained = train(data, tmp_path / "run", calibrate=False)
    together, predicted = trained.evaluate(data), trained.predict(data)
    monkeypatch.setattr(backtest, "_MAX_NUMBERS", 1)
    assert len(list(trained._back_tests(trained._scored(data), trained._scored(data).spans["data"]))) == 2
    found = trained.evaluate(data)["data"]
    steps = [scores.pop("per_step") for scores in (found, together["data"])]
    assert found == pytest.approx(together["data"], rel=1e-5)
    assert steps[0] == {step: pytest.approx(scores, rel=1e-4) for step, scores in steps[1].items()}
    for one, other in zip(trained.predict(data), predicted, strict=True):
        assert (one.series, one.times) == (other.series, other.times)
        assert one.values == pytest.approx(other.values, rel=1e-5)


def test_intervals_are_calibrated_by_a_sample_of_many_series(tmp_path, data, monkeypatch, capsys):
    monkeypatch.setattr(backtest, "_MAX_NUMBERS", 1)
    trained = train(data, tmp_path / "run")
    assert "intervals are calibrated by the held-out part of 1 of 2 series" in capsys.readouterr().err
    scores = trained.final_scores()
    assert scores["held_out"]["series"] == 2
    assert trained.evaluate() == scores


def test_a_run_on_them_resumes_with_the_same_scores(tmp_path, data, monkeypatch):
    make_large(monkeypatch)
    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    whole = train(data, tmp_path / "whole", schedule="constant")
    train(data, tmp_path / "run", schedule="constant", max_minutes=1e-4)
    shutil.rmtree(tmp_path / "cache")
    assert resume(tmp_path / "run", max_minutes=10).final_scores() == whole.final_scores()
