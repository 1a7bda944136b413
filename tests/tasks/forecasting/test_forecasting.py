"""Forecasts from end to end: trained, scored, forecast, streamed; nothing of the future in any of it."""

import json
import re

import numpy as np
import pandas
import pytest
import safetensors.torch
import torch

import gatewise
from gatewise.tasks import state_file
from gatewise.tasks.api import resume
from gatewise.tasks.forecasting.backtest import back_test
from tests.tasks.forecasting.small import SMALL, many_series, monthly, one_series, standard_input
from tests.tasks.small import losses

NAN = float("nan")


def train(folder, data=None, **changes):
    data = one_series(folder) if data is None else data
    return gatewise.train("forecast", data=data, out=folder / "run", **{**SMALL, **changes})


def weights(folder):
    return safetensors.torch.load_file(folder / "run" / "weights.safetensors")


@pytest.mark.usefixtures("rendered")
def test_a_run_scores_beside_its_baseline_and_leaves_plots(tmp_path):
    trained = train(tmp_path, epochs=10, horizon=None)
    scores = trained.final_scores()
    assert list(scores) == ["held_out", "test"]
    assert trained.preprocessing.horizon == trained.preprocessing.season == 12
    for part in scores.values():
        assert part["mae"] < part["baseline_mae"]
        assert 0 <= part["coverage"] <= 1
        assert {name for name in part if name.startswith("baseline_")} == {
            f"baseline_{name}"
            for name in ("mae", "mse", "rmse", "mase", "smape", "scaled_mae", "scaled_mse", "pinball", "coverage")
        }
        assert list(part["per_step"]) == [str(step) for step in range(1, 13)]
        assert set(part["per_step"]["1"]) == {"mae", "baseline_mae", "mse", "scaled_mae", "scaled_mse", "coverage"}
    assert all((tmp_path / "run" / f"forecasts_{part}.png").stat().st_size > 10_000 for part in scores)
    assert gatewise.load(tmp_path / "run").evaluate() == scores


def test_without_data_it_learns_the_sunspot_numbers(tmp_path):
    scores = gatewise.train("forecast", out=tmp_path / "run", epochs=1, hidden=8).final_scores()
    assert scores["test"]["mae"] < 0.8 * scores["test"]["baseline_mae"]
    assert scores["test"]["forecasts"] == 564 - 11


@pytest.mark.parametrize("cell", ["rnn_tanh", "gru_chung2014", "peephole_lstm"])
def test_any_cell(tmp_path, cell):
    assert train(tmp_path, cell=cell, layers=2, epochs=1).final_scores()["test"]["mae"] > 0


@pytest.mark.parametrize("precision", ["64", "bf16-mixed"])
def test_any_precision(tmp_path, precision):
    trained = train(tmp_path, precision=precision, strategy="recursive", epochs=1, test=0.0)
    assert list(trained.final_scores()) == ["held_out"]
    assert trained.model.blend.dtype == (torch.float64 if precision == "64" else torch.float32)
    assert len(trained.predict()[0].values) == 4


KINDS = {
    "quantiles": {},
    "points": {"output": "point"},
    "gaussian": {"output": "gaussian", "quantiles": [0.05, 0.95]},
    "recursive": {"strategy": "recursive"},
    "recursive points": {"strategy": "recursive", "output": "point", "cell": "gru_cudnn", "layers": 2},
    "no season": {"season": 1, "calendar": False},
}


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    return train(tmp_path_factory.mktemp("kind"), **KINDS[request.param])


def test_what_comes_after_a_cut_changes_no_forecast(tmp_path, trained):
    known = {"v40": NAN, "v41": NAN}
    (before,) = trained.back_tests(one_series(tmp_path, **known)).values()
    later = {f"v{index}": 1000.0 + index for index in range(80, 96)}
    (after,) = trained.back_tests(one_series(tmp_path, **known, **later)).values()
    untouched = before.positions < 80
    assert untouched.sum() == 80 - before.positions[0]
    assert torch.equal(before.quantiles[untouched], after.quantiles[untouched])
    assert not torch.equal(before.quantiles[~untouched], after.quantiles[~untouched])


@pytest.mark.parametrize("kind", ["quantiles", "recursive"])
def test_nothing_of_the_test_part_is_learned_from(tmp_path, kind):
    (tmp_path / "other").mkdir()
    # The test is the last 19 of 96 steps.
    changed = one_series(tmp_path / "other", **{f"v{index}": -50.0 * index for index in range(77, 96)})
    one = train(tmp_path, **KINDS[kind])
    other = train(tmp_path / "other", changed, **KINDS[kind])
    assert all(torch.equal(weight, weights(tmp_path / "other")[name]) for name, weight in weights(tmp_path).items())
    assert one.preprocessing == one.preprocessing
    assert one.folder.vocabulary.read_bytes() == other.folder.vocabulary.read_bytes()
    assert one.final_scores()["held_out"] == other.final_scores()["held_out"]
    assert one.final_scores()["test"] != other.final_scores()["test"]


def test_nothing_after_the_learned_part_moves_a_step_of_training(tmp_path):
    (tmp_path / "other").mkdir()
    # 10 % of 96 steps decide: those from 67 on.
    changed = one_series(tmp_path / "other", **{f"v{index}": -50.0 * index for index in range(67, 96)})
    train(tmp_path, epochs=1)
    train(tmp_path / "other", changed, epochs=1)
    assert all(torch.equal(weight, weights(tmp_path / "other")[name]) for name, weight in weights(tmp_path).items())


def test_a_forecast_is_the_last_one_of_the_back_test(tmp_path, trained):
    (test,) = trained.back_tests(one_series(tmp_path)).values()
    rows = one_series(tmp_path).read_text().splitlines()
    (tmp_path / "cut.csv").write_text("\n".join(rows[: 1 + 96 - 4]) + "\n")
    (message,) = trained.predict(tmp_path / "cut.csv")
    assert (message.after, message.times[0], message.times[-1], len(message.values)) == (
        "2007-08",
        "2007-09",
        "2007-12",
        4,
    )
    assert message.values == pytest.approx(test.middle[-1].tolist(), rel=1e-5)
    if trained.options.output == "point":
        assert message.quantiles == {}
    else:
        low, *_, high = message.quantiles.values()
        assert (np.array(low) <= message.values).all()
        assert (message.values <= np.array(high)).all()


def test_rows_that_come_one_by_one_have_the_forecasts_of_the_whole(tmp_path, monkeypatch, trained):
    lines = one_series(tmp_path, v50=NAN, v51=NAN).read_text().splitlines(keepends=True)
    history, coming = lines[:61], [lines[0], *lines[61:70], *lines[72:]]  # two rows never come
    (tmp_path / "history.csv").write_text("".join(history))
    standard_input(monkeypatch, "".join(coming))
    message = [json.loads(line) for line in trained.follow([tmp_path / "history.csv"])]
    assert len(message) == len(coming) - 1
    for row in (0, 8, 9, len(message) - 1):
        text = "".join([*history, *coming[1 : row + 2]])
        (tmp_path / "until.csv").write_text(text)
        (whole,) = trained.predict(tmp_path / "until.csv")
        assert message[row]["time"] == whole.after
        assert message[row]["forecast"] == pytest.approx(whole.values, rel=1e-5)
        for name, column in whole.quantiles.items():
            assert message[row][name] == pytest.approx(column, rel=1e-5)


def test_no_garbage_ends_a_stream_or_changes_its_forecasts(tmp_path, monkeypatch, capsys, trained):
    lines = one_series(tmp_path).read_bytes().splitlines(keepends=True)
    months = [line.split(b",")[0] for line in lines]
    standard_input(monkeypatch, b"".join(lines))
    expected = list(trained.follow())
    assert len(expected) == 96
    garbage = [
        b"???\n",
        b"\xff\xfe\x00garbage\n",
        months[9] + b",much\n",
        months[9] + b",inf\n",
        months[9] + b",1e308\n",  # whose mean with others is infinite
        months[9] + b',"7\n',
        months[9] + b"\n",
        lines[0],  # as when files follow each other
        b"2000-10-17,3\n",
        b"9999-12,3\n",  # all months that come would be too late
        b"0001-01,3\n",
        b"99999-01,3\n",
        b"\0\0\0\n",
        b"," * 100 + b"\n",
    ]
    mixed = [*lines[:9], *garbage, *lines[9:20], *garbage, *lines[20:]]
    standard_input(monkeypatch, b"".join(mixed))
    assert list(trained.follow()) == expected
    warnings = capsys.readouterr().err.splitlines()
    assert all(
        re.match(r"warning: standard input: line (1\d|2[0-4]|3[4-9]|4[0-8]): .*skipped$", one) for one in warnings
    )
    assert len(warnings) == 2 * len(garbage)


def test_a_stream_may_pause_for_long(tmp_path, monkeypatch, capsys):
    trained = train(tmp_path, epochs=1)
    capsys.readouterr()
    lines = one_series(tmp_path).read_text().splitlines(keepends=True)
    later = [f"{time},{value}\n" for time, value in monthly(400)[300:303]]
    standard_input(monkeypatch, "".join([*lines[:20], *later]))
    message = [json.loads(line)["time"] for line in trained.follow()]
    assert message[-4:] == ["2001-07", "2025-01", "2025-02", "2025-03"]
    assert capsys.readouterr().err == ""


def test_rows_of_several_series_and_rows_that_come_too_late(tmp_path, monkeypatch, capsys):
    rows = [f"{time},{name},{value}\n" for time, value in monthly(60) for name in "ab"]
    (tmp_path / "long.csv").write_text("month,name,sales\n" + "".join(rows))
    trained = train(tmp_path, tmp_path / "long.csv", series_column="name")
    late = ["month,name,sales\n", *rows[:4], rows[0], "\n", rows[4]]
    standard_input(monkeypatch, "".join(late))
    message = [json.loads(line) for line in trained.follow()]
    assert [(one["series"], one["time"]) for one in message] == [
        *((name, month) for month in ("2000-01", "2000-02") for name in "ab"),
        ("a", "2000-03"),
    ]
    late = "warning: standard input: line 6: the row is not after the row before it; skipped"
    assert late in capsys.readouterr().err


def test_rows_without_time_stamps_follow_each_other(tmp_path, monkeypatch):
    data = tmp_path / "plain.csv"
    lines = [f"{value},{2 * value}\n" for _, value in monthly(80)]
    data.write_text("".join(lines[:70]))
    trained = train(tmp_path, data, time_column="row", value_columns=["1", "2"], season=12)
    standard_input(monkeypatch, "".join(lines[70:72]))
    message = [json.loads(line) for line in trained.follow([data])]
    assert [(one["series"], one["time"]) for one in message] == [("1", "71"), ("2", "71"), ("1", "72"), ("2", "72")]
    data.write_text("".join(lines[:72]))
    assert message[-1]["forecast"] == pytest.approx(trained.predict(data)[1].values, rel=1e-5)


def test_covariates_that_are_known_ahead(tmp_path, monkeypatch):
    data = many_series(tmp_path)
    options = {"series_column": "shop", "covariate_columns": ["offer"], "epochs": 25, "patience": 25}
    trained = train(tmp_path, data, **options)
    blind = gatewise.train(
        "forecast", data=data, out=tmp_path / "blind", value_columns="sales", series_column="shop", **SMALL
    )
    assert trained.final_scores()["test"]["mase"] < 0.7 * blind.final_scores()["test"]["mase"]
    north, south = trained.predict(data)
    assert (north.series, south.series) == ("north", "south")
    assert south.values[0] > 10 * north.values[0]
    with_offers = data.read_text().splitlines()
    for index, line in enumerate(with_offers):
        time, _, value, _ = line.split(",")
        if value == "":
            with_offers[index] = f"{time},{line.split(',')[1]},,1"
    (tmp_path / "offers.csv").write_text("\n".join(with_offers))
    assert sum(trained.predict(tmp_path / "offers.csv")[0].values) > sum(north.values)
    lines = [line for line in data.read_text().splitlines() if ",," not in line]
    (tmp_path / "past.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"series 'north': no offer at 2021-04-17; a forecast needs the covariates"):
        trained.predict(tmp_path / "past.csv")


def test_missing_values_are_not_scored_nor_learned_from(tmp_path):
    gaps = {f"v{index}": NAN for index in (*range(10, 14), 30, 50, *range(85, 88))}
    trained = train(tmp_path, one_series(tmp_path, **gaps))
    test = trained.back_tests()["test"]
    assert test.truth.isnan().sum() == 3 * 4
    scores = trained.final_scores()["test"]
    there = ~test.truth.isnan()
    assert scores["mae"] == pytest.approx(float((test.middle - test.truth)[there].abs().mean()))


@pytest.mark.parametrize(("size", "offset"), [(10.0, 1e12), (1e-30, 0.0), (1e30, 0.0)])
def test_forecasts_scale_with_unit_and_offset(tmp_path, capsys, size, offset):
    rows = [(time, round(value, 3)) for time, value in monthly()]
    scores = []
    for name, one, shift in (("plain", 1.0, 0.0), ("other", size, offset)):
        path = tmp_path / f"{name}.csv"
        path.write_text("month,sales\n" + "".join(f"{time},{shift + one * value!r}\n" for time, value in rows))
        found = gatewise.train("forecast", data=path, out=tmp_path / name, **SMALL).final_scores()["test"]
        scores.append({"mae": found["mae"] / one, "mase": found["mase"], "coverage": found["coverage"]})
    assert scores[1] == pytest.approx(scores[0], rel=0.02)
    assert "warning" not in capsys.readouterr().err


def test_values_that_float64_barely_tells_apart_have_a_warning(tmp_path, capsys):
    (tmp_path / "far.csv").write_text(
        "time,a\n" + "".join(f"{index},{10**15 + index * index % 7}\n" for index in range(60))
    )
    train(tmp_path, tmp_path / "far.csv", epochs=1)
    assert "warning: 'a': the values differ by so little from each other" in capsys.readouterr().err


def test_a_covariate_that_never_changes_is_named(tmp_path, capsys):
    rows = "".join(f"{index},{index % 5},3,{index % 2}\n" for index in range(70))
    (tmp_path / "some.csv").write_text("time,sales,price,odd\n" + rows)
    options = {"covariate_columns": ("price", "odd"), "value_columns": ("sales",), "epochs": 1}
    train(tmp_path, tmp_path / "some.csv", **options)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert said == ["warning: covariate 'price' never changes in the part to learn from (3)"]


def test_a_data_frame_trains_the_same_and_stays_in_the_run_folder(tmp_path):
    (tmp_path / "frame").mkdir()
    of_file = train(tmp_path)
    frame = pandas.read_csv(one_series(tmp_path))
    of_frame = train(tmp_path / "frame", frame)
    assert of_frame.final_scores() == of_file.final_scores()
    assert gatewise.load(tmp_path / "frame" / "run").evaluate() == of_frame.final_scores()
    assert of_frame.predict(frame) == of_file.predict(one_series(tmp_path)) == of_frame.predict()
    assert of_frame.evaluate(frame) == of_file.evaluate(one_series(tmp_path))
    scores = of_frame.folder.scores.read_bytes()
    of_frame.folder.scores.unlink()
    assert resume(of_frame.folder.path).folder.scores.read_bytes() == scores
    (of_frame.folder.path / "data-1-data.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"data-1-data\.parquet"):
        of_frame.evaluate()
    with pytest.raises(ValueError, match="data: no column 'text'; it has 'month', 'sales'"):
        gatewise.train("lm", data=frame, out=tmp_path / "lm")
    assert not (tmp_path / "lm").exists()


def test_a_run_that_stopped_continues_with_the_same_losses(tmp_path, monkeypatch):
    train(tmp_path, epochs=3, schedule="constant")
    (tmp_path / "stopped").mkdir()
    monkeypatch.setattr(state_file, "SAVE_EVERY_SECONDS", 0.0)
    stopped = train(tmp_path / "stopped", one_series(tmp_path), epochs=3, max_minutes=1e-4, schedule="constant")
    assert len(losses(stopped.folder.path)) < len(losses(tmp_path / "run"))
    resume(stopped.folder.path, max_minutes=5.0)
    assert losses(stopped.folder.path) == losses(tmp_path / "run")


def test_what_may_surprise_has_a_notice(tmp_path, capsys):
    rows = ["time,a,b,c", *(f"{index},{index % 5},7,{index if index > 55 else ''}" for index in range(60))]
    rows[3], rows[4] = rows[4], rows[3]
    (tmp_path / "wide.csv").write_text("\n".join(rows))
    train(tmp_path, tmp_path / "wide.csv", window=30, test=0.2)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert said == [
        "warning: the data: rows were not in the order of time; sorted",
        "warning: b: the value never changes (7); the forecast will be that",
        "warning: 1 of 3 series are too short to learn from, 'c' first",
    ]
    constant = gatewise.load(tmp_path / "run").predict(tmp_path / "wide.csv")[1]
    assert constant.values == pytest.approx([7] * 4, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 60}, "series 'sales' has 96 steps and none has more: too few to learn from with a horizon of 60"),
        ({"test": 3}, "test: 3 steps hold no forecast of a horizon of 4; expected at least that"),
        ({"test": 12.5}, "test: expected a share below 1 or a whole number of steps, got 12.5"),
        ({"held_out": 0.95}, "held_out: expected a share of at most 0.9 or a number of steps, got 0.95"),
        ({"test": 90}, "series 'sales' has 96 steps and none has more: too few to learn from"),
        ({"valid": "series.csv", "test": 12}, "test: beside a table of held-out steps (valid) expected a table"),
        ({"valid": "series.csv", "held_out": 12}, "held_out: has no effect: valid names the steps instead"),
        ({"output": "point", "calibrate": False}, "calibrate: has no effect: output is point"),
        ({"held_out": 0.5, "test": 0.5}, "held_out and test: nothing is left to learn from (0.5 + 0.5)"),
        ({"output": "point", "quantiles": [0.1, 0.9]}, "quantiles: has no effect: output is point"),
        ({"time_column": "row", "time_format": "%Y"}, "time_format: has no effect: rows are steps"),
        ({"strategy": "recursive", "output": "quantile"}, "output: quantiles of one step do not determine"),
        ({"quantiles": (0.5, 1.0)}, "quantiles: expected numbers above 0 and below 1, got (0.5, 1.0)"),
        ({"window": 2}, "window: expected a number at least 4, got 2"),
        ({"value_columns": ("price",)}, "no column 'price'"),
    ],
)
def test_what_cannot_be_trained(tmp_path, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        train(tmp_path, **changes)
    assert not (tmp_path / "run").exists()


def test_other_data_must_fit(tmp_path):
    trained = train(tmp_path)
    (tmp_path / "daily.csv").write_text("month,sales\n2020-01-01,1\n2020-01-02,1\n")
    with pytest.raises(ValueError, match="line 3: the time stamp 2020-01-02 00:00:00 is not on the grid of the others"):
        trained.predict(tmp_path / "daily.csv")
    (tmp_path / "short.csv").write_text("month,sales\n2020-01,1\n2020-02,1\n")
    with pytest.raises(ValueError, match="series 'sales': 2 steps are too few to score forecasts of 4"):
        trained.evaluate(tmp_path / "short.csv")
    one_series(tmp_path, v3=5.0)
    with pytest.raises(ValueError, match="the data has changed since the run began"):
        trained.evaluate()


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_a_part_of_the_forecasts_is_scored_as_in_all_of_them(tmp_path, strategy):
    trained = train(tmp_path, strategy=strategy, epochs=1)
    scored = trained._corpus().scored
    whole, half = (
        {part: back_test(trained.predictor, one, spans) for part, spans in one.spans.items()}
        for one in (scored, trained.subsample(scored, 0.5))
    )
    assert half.keys() == whole.keys() == {"held_out", "test"}
    for name, test in half.items():
        count = len(test.positions)
        assert count == len(whole[name].positions) // 2
        torch.testing.assert_close(test.quantiles, whole[name].quantiles[:count], rtol=1e-5, atol=1e-5)
    least = trained.subsample(scored, 0.0)
    assert [span.forecasts for part in least.spans.values() for span in part] == [1, 1]
