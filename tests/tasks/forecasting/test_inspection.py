"""A network of forecasts that is watched: its report, and the contributions to its forecast."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch

import gatewise
from gatewise.formatting import format_number
from gatewise.tasks.forecasting.inspection import Watched
from tests.tasks.forecasting.small import SMALL, many_series, one_series

NAN = float("nan")
KINDS = {"direct": {}, "recursive": {"strategy": "recursive", "output": "point", "cell": "lstm", "layers": 2}}


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    return gatewise.train("forecast", data=one_series(folder), out=folder / "run", **SMALL, **KINDS[request.param])


@pytest.fixture(scope="module")
def with_offers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("offers")
    options = {"series_column": "shop", "covariate_columns": ["offer"], "epochs": 25, "patience": 25}
    return gatewise.train("forecast", data=many_series(folder), out=folder / "run", **{**SMALL, **options})


def test_the_forecast_is_that_of_predict_and_the_report_has_time_stamps(trained, tmp_path):
    found = gatewise.inspect(trained.folder.path, out=tmp_path / "report.html")
    (message,) = trained.predict()
    assert found.forecast == message
    assert found.past == [f"2007-{month:02d}" for month in range(1, 13)]
    assert found.contributions.shape == (4, 12)
    assert found.covariates == {}
    assert all(len(norms) == 12 for norms in found.trace.gradient_flow().values())
    page = (tmp_path / "report.html").read_text()
    data = json.loads(re.search(r'application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert data["tokens"] == found.past
    (text,) = data["changes"]
    assert (text["causes"], len(text["changes"])) == (found.past, 4)
    assert text["predictions"][0] == f"2008-01: {format_number(message.values[0], 6)}"
    assert data["flow"]
    assert all(parameter.grad is None for parameter in trained.model.parameters())


def test_a_value_moves_the_forecast_by_what_it_is_without_it(trained, tmp_path):
    found = trained.inspect(steps=30, out=tmp_path / "report.html")
    (message,) = trained.predict()
    for position in (66, 70, 83, 90, 94):
        (without,) = trained.predict(one_series(tmp_path, **{f"v{position}": NAN}))
        expected = np.array(message.values) - without.values
        assert found.contributions[:, position - 66].tolist() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-4)
    assert found.contributions.abs().amax(1).min() > 0.01


def test_a_short_series_is_watched_from_its_first_value(trained, tmp_path):
    rows = one_series(tmp_path).read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join([rows[0], *rows[50:55]]))
    (tmp_path / "later.csv").write_text("\n".join([rows[0], *rows[51:55]]))
    found = trained.inspect(tmp_path / "short.csv", out=tmp_path / "report.html")
    (message,), (later,) = trained.predict(tmp_path / "short.csv"), trained.predict(tmp_path / "later.csv")
    assert len(found.past) == 5
    expected = np.array(message.values) - later.values
    assert found.contributions[:, 0].tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-5)


def test_missing_values_move_nothing(trained, tmp_path):
    found = trained.inspect(one_series(tmp_path, v90=NAN), out=tmp_path / "report.html")
    assert found.contributions[:, 90 - 84].tolist() == [0.0] * 4
    assert (found.contributions != 0).any(0).sum() == 11


def test_the_state_before_the_watched_steps_is_that_of_the_whole_series(trained, tmp_path):
    (series,) = trained._corpus().series
    watching = Watched.last(trained.predictor, series, 5)
    assert (watching.steps, len(watching.series)) == (5, 5 + max(12, trained.preprocessing.season + 1))
    gap = dataclasses.replace(series, values=series.values.copy())
    gap.values[78:80] = NAN  # where the windows of the watched steps begin
    assert Watched.last(trained.predictor, gap, 5).series.first == series.first + 77
    whole = Watched.last(trained.predictor, series, 1000)
    assert (whole.steps, whole.begin, whole.state) == (96, 0, None)


def test_an_offer_to_come_moves_its_own_step(with_offers, tmp_path):
    found = with_offers.inspect(series="south", steps=8, out=tmp_path / "report.html")
    contributions = found.covariates["offer"]
    assert (found.forecast.series, tuple(contributions.shape)) == ("south", (4, 8 + 4))
    to_come = contributions[:, 8:]
    assert torch.equal(to_come.abs() > 1e-9, torch.eye(4, dtype=torch.bool))
    given = [row.split(",")[3] for row in with_offers.options.data[0].read_text().splitlines()[-4:]]
    signs = ["1" if value > 0 else "0" for value in to_come.diagonal().tolist()]
    assert signs == given
    assert (contributions[:, :8].abs() > 0).any()


def test_what_cannot_be_watched(trained, tmp_path):
    (tmp_path / "one.csv").write_text("month,sales\n2020-01,1\n2020-02,\n")
    report = tmp_path / "report.html"
    for changes, message in (
        ({"steps": 1}, "steps: expected a number of steps of a series, at least 2, got 1"),
        ({"series": "no"}, "series: expected the name of one, such as 'sales'; got 'no'"),
        ({"data": tmp_path / "one.csv"}, "series 'sales' has 1 step; at least 2 are needed"),
        ({"out": tmp_path / "no" / "page.html"}, "its folder does not exist"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            trained.inspect(**{"out": report, **changes})
    assert not report.exists()
