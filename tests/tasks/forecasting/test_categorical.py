"""Categorical covariates: static for each series, or of each step; learned, predicted, followed and inspected."""

import json
import random

import numpy as np
import pytest

import gatewise
from tests.tasks.forecasting.small import SMALL, standard_input

SIZES = {"north": 10.0, "south": 40.0}
EFFECT = {"rain": 0.0, "sun": 6.0, "": 2.0}
OPTIONS = {
    **SMALL,
    "epochs": 12,
    "time_column": "t",
    "series_column": "shop",
    "value_columns": ["v"],
    "calendar": False,
}


def lines(count, *, ahead=0, seed=0, shops=("north", "south")):
    """Values that jump with the weather of their day, twice as far in the south; weather of days to come."""
    draw = random.Random(seed)
    rows = []
    for shop in shops:
        for step in range(count + ahead):
            weather = draw.choice(list(EFFECT))
            value = SIZES[shop] + EFFECT[weather] * (1 if shop == "north" else 2)
            rows.append(f"{step},{shop},{weather},{value if step < count else ''}\n")
    return ["t,shop,weather,v\n", *rows]


def write(path, rows):
    path.write_text("".join(rows))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("categorical")
    data = write(folder / "data.csv", lines(160))
    options = {**OPTIONS, "categorical": ["weather", "shop"], "category_size": 4}
    return gatewise.train("forecast", data=data, out=folder / "run", **options)


def test_the_values_of_steps_to_come_are_used(trained):
    without = gatewise.train(
        "forecast", data=trained.options.data, out=trained.folder.path.parent / "without", **OPTIONS
    )
    assert trained.preprocessing.static == (False, True)
    assert trained.preprocessing.known_ahead == ("weather",)
    values = [set(one.tokens[1:]) for one in trained.preprocessing.categories.vocabularies.values()]
    assert values == [set(EFFECT), set(SIZES)]
    assert trained.final_scores()["test"]["scaled_mae"] < 0.5 * without.final_scores()["test"]["scaled_mae"]


def test_reloading_and_reading_again_are_the_same(trained, tmp_path):
    again = gatewise.load(trained.folder.path)
    assert again.evaluate() == trained.final_scores()
    # The positions of values among those of a table are not those of training.
    rows = lines(40, ahead=4, seed=1, shops=("south",))
    (found,) = again.predict(write(tmp_path / "south.csv", rows))
    both = [*lines(40, ahead=4, seed=2, shops=("north",)), *rows[1:]]
    (alike,) = [one for one in again.predict(write(tmp_path / "both.csv", both)) if one.series == "south"]
    assert found.values == pytest.approx(alike.values, rel=1e-5)


def test_unknown_values_are_noted_and_read_as_one(trained, tmp_path, capsys):
    rows = lines(40, ahead=4, shops=("north",))
    fog, ice = (write(tmp_path / f"{word}.csv", [row.replace("sun", word) for row in rows]) for word in ("fog", "ice"))
    (one,), (other,) = trained.predict(fog), trained.predict(ice)
    assert one.values == other.values
    assert "values that are not in the training data:" in capsys.readouterr().err


def test_steps_to_come_need_what_changes_and_not_what_is_static(trained, tmp_path):
    path = write(tmp_path / "a.csv", lines(40, ahead=3, shops=("north",)))
    with pytest.raises(ValueError, match=r"series 'north': no weather at 43; a forecast needs the covariates of all 4"):
        trained.predict(path)


def test_what_is_static_needs_no_rows_of_steps_to_come(trained, tmp_path):
    options = {**OPTIONS, "epochs": 1, "categorical": ["shop"]}
    static = gatewise.train("forecast", data=trained.options.data, out=tmp_path / "run", **options)
    assert static.preprocessing.known_ahead == ()
    assert [one.after for one in static.predict(write(tmp_path / "a.csv", lines(40)))] == ["39", "39"]


def test_following_is_predicting(trained, tmp_path, monkeypatch):
    rows = lines(30, ahead=4, shops=("north",))
    (whole,) = trained.predict(write(tmp_path / "a.csv", rows))
    head, *rest = rows
    ahead = [",".join([*row.split(",")[:3], ""]) + "\n" for row in rest]
    coming = [row for index in range(30) for row in (*ahead[index + 4 : index + 5], rest[index])]
    standard_input(monkeypatch, "".join([head, *ahead[:4], *coming]))
    found = [json.loads(line) for line in trained.follow()]
    assert found[-1]["time"] == "29"
    assert found[-1]["forecast"] == pytest.approx(whole.values, rel=1e-4)


def test_inspecting_shows_what_each_category_moves(trained, tmp_path):
    found = trained.inspect(write(tmp_path / "a.csv", lines(40, ahead=4, shops=("north",))), out=tmp_path / "r.html")
    assert list(found.covariates) == ["weather", "shop"]
    contributions = found.covariates["weather"].numpy()
    # What moves a step most is its own weather.
    own = np.abs(contributions[np.arange(4), len(found.past) + np.arange(4)])
    assert own.mean() > np.abs(contributions).mean()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"categorical": ["v"]},
            "column 'v' is named twice; a column is time, series, value, covariate or categorical",
        ),
        ({"categorical": ["sky"]}, "no column 'sky'; its first line names 't', 'shop', 'weather', 'v'"),
        ({"category_size": 4}, "category_size: .*there are no columns in categorical"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    data = write(tmp_path / "data.csv", lines(60))
    with pytest.raises(ValueError, match=message):
        gatewise.train("forecast", data=data, out=tmp_path / "run", **{**OPTIONS, **changes})
    assert not (tmp_path / "run").exists()
