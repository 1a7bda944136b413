"""Calibrated quantiles: by hand, the share they hold, and the file."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gatewise
from gatewise.tasks.forecasting.calibration import Calibration, moves_of
from gatewise.tasks.forecasting.effective_count import effective_count
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.scores import coverage
from tests.tasks.forecasting.small import SMALL, one_series, standard_input
from tests.tasks.forecasting.test_scores import back_test, panel


def generated(seed, count=200, spread=1.0, levels=(0.1, 0.5, 0.9)):
    """Forecasts of 0 of noise that is as large as the scale of the window before it."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count + 20, generator=generator, dtype=torch.float64)
    data = panel(noise.tolist(), season=1, horizon=2)
    positions = list(range(8, 8 + count))
    return back_test(data, positions, [[0.0, 0.0]] * count, levels, spread)


def test_moves_by_hand():
    # Windows of 4 steps: the values 0 1 0 1 have the level 0.5 and the scale 0.5.
    data = panel([0.0, 1.0] * 9, season=1, horizon=1)
    test = back_test(data, list(range(4, 14)), [[0.0]] * 10, (0.1, 0.5, 0.9), 1.0)
    found = Calibration.learn(test, print)
    # Quantiles −0.4, 0, 0.4; the truths are five 0s and five 1s. Of 10 values 0.9 must hold the 10th (⌈11·0.9⌉) of
    # y − 0.4, which is 0.6, in scales 1.2; 0.1 the first of y + 0.4, which is 0.4, in scales 0.8.
    assert found.moves.tolist() == [[pytest.approx(0.8), 0.0, pytest.approx(1.2)]]
    assert found.of(test).quantiles[0, 0].tolist() == pytest.approx([0.0, 0.0, 1.0])


@given(st.integers(0, 1000), st.floats(0.01, 5))
def test_each_quantile_holds_its_share_of_what_it_was_learned_from(seed, spread):
    levels = (0.05, 0.2, 0.5, 0.9)
    test = generated(seed, spread=spread, levels=levels)
    found = Calibration.learn(test, print)
    moved = test.quantiles + found.moves * test.panel.scale_at(test.positions).scale[:, None, None]
    below = (test.truth[..., None] <= moved + 1e-9).double().mean(0)
    above = (test.truth[..., None] >= moved - 1e-9).double().mean(0)
    for index, level in enumerate(levels):
        if level > 0.5:
            assert (below[:, index] >= level).all()
            assert (below[:, index] <= level + 0.02).all()
        elif level < 0.5:
            assert (above[:, index] >= 1 - level).all()
            assert (above[:, index] <= 1 - level + 0.02).all()


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_other_values_are_covered_as_the_level_says(spread):
    found = Calibration.learn(generated(1, 2000, spread), print)
    other = generated(2, 2000, spread)
    moved = found.of(other)
    assert coverage(moved.quantiles, moved.truth) == pytest.approx(0.8, abs=0.03)
    assert abs(coverage(other.quantiles, other.truth) - 0.8) > 0.1
    assert torch.equal(moved.middle, other.middle)
    assert moved.scores()["uncalibrated_coverage"] == coverage(other.quantiles, other.truth)


def test_quantiles_stay_in_order():
    moves = torch.tensor([[0.5, 0.9, 0.0, -0.9, 0.1]], dtype=torch.float64)
    calibration = Calibration((0.1, 0.3, 0.5, 0.7, 0.9), moves)
    quantiles = torch.tensor([[[-0.2, -0.1, 0.0, 0.1, 0.2]]], dtype=torch.float64)
    found = calibration.applied(quantiles, torch.tensor([1.0], dtype=torch.float64))
    assert found.tolist() == [[[0.0, 0.0, 0.0, 0.0, pytest.approx(0.3)]]]


@pytest.mark.parametrize(("spread", "wider"), [(0.1, True), (20.0, False)])
def test_few_forecasts_that_do_not_overlap_make_intervals_wider_only(spread, wider):
    said = []
    test = generated(0, 16, spread)  # with a horizon of 2
    found = Calibration.learn(test, said.append)
    assert said == [
        "intervals are calibrated by few forecasts: 8 in the held-out part do not overlap in time, and quantiles 0.1 "
        "and 0.9 need 9; so they may become wider, but not narrower; a longer --held-out has more"
    ]
    assert ((found.moves[:, 0] < 0) & (found.moves[:, 2] > 0)).tolist() == [wider] * 2
    assert bool(found.moves.any()) == wider
    assert (found.of(test) is test) == (not wider)
    enough = Calibration.learn(generated(0, 17, spread), said.append).moves
    assert len(said) == 1
    assert (enough[:, 2] > 0).tolist() == [wider] * 2
    assert enough[:, [0, 2]].all()
    test = generated(0, 200)
    test.truth[:, 1] = float("nan")
    found = Calibration.learn(test, said.append).moves
    assert said[-1].startswith("intervals are calibrated by few forecasts: 0 in")
    assert not found[1].any()


def train(folder, **changes):
    options = {**SMALL, "data": one_series(folder), "held_out": 0.4, "epochs": 1, **changes}
    return gatewise.train("forecast", out=folder / "run", **options)


@pytest.mark.parametrize("changes", [{}, {"strategy": "recursive"}])
def test_a_run_keeps_its_calibration_and_all_forecasts_have_it(tmp_path, monkeypatch, changes):
    trained = train(tmp_path, **changes)
    scores = trained.final_scores()
    steps = 38 - 3  # forecasts from every step whose horizon of 4 lies in the held-out part
    assert scores["held_out"]["forecasts"] == steps
    # Of 35 values the 33rd (⌈36 · 0.9⌉) is the last one inside and the 3rd (⌊36 · 0.1⌋) the first.
    assert scores["held_out"]["coverage"] == pytest.approx(31 / 35)
    assert gatewise.load(tmp_path / "run").evaluate() == scores
    path = tmp_path / "run" / "calibration.json"
    message = gatewise.load(tmp_path / "run").predict()[0]
    standard_input(monkeypatch, (tmp_path / "series.csv").read_text())
    live = json.loads(list(gatewise.load(tmp_path / "run").follow())[-1])
    assert live["q0.9"] == pytest.approx(message.quantiles["q0.9"], rel=1e-5)
    content = json.loads(path.read_text())
    content["moves"] = [[low - 1, middle, high + 1] for low, middle, high in content["moves"]]
    path.write_text(json.dumps(content))
    wider = gatewise.load(tmp_path / "run").predict()[0]
    assert wider.values == message.values
    assert all(one > other for one, other in zip(wider.quantiles["q0.9"], message.quantiles["q0.9"], strict=True))


def test_a_calibration_of_other_weights_is_not_taken(tmp_path, capsys):
    trained = train(tmp_path)
    path = tmp_path / "run" / "calibration.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "weights": "0" * 64}))
    capsys.readouterr()
    plain = gatewise.load(tmp_path / "run").predict()[0]
    assert "intervals are not calibrated: calibration.json is missing or of other weights" in capsys.readouterr().err
    assert plain.quantiles != trained.predict()[0].quantiles
    path.unlink()
    assert gatewise.load(tmp_path / "run").predict()[0] == plain
    for wrong in ("{", "[]", json.dumps({**content, "moves": [[0.0]]}), json.dumps({**content, "moves": "NaN"})):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=r"calibration\.json: "):
            gatewise.load(tmp_path / "run").predict()


def test_without_calibration_none_is_kept(tmp_path, capsys):
    train(tmp_path, calibrate=False)
    assert not (tmp_path / "run" / "calibration.json").exists()
    assert "uncalibrated_coverage" not in gatewise.load(tmp_path / "run").evaluate()["test"]
    assert "calibrated" not in capsys.readouterr().err.replace("calibrate = false", "")


def test_a_run_with_few_held_out_values_says_so_once(tmp_path, capsys):
    train(tmp_path, held_out=8)
    assert "calibrated by few forecasts: 2 in the held-out part do not overlap in time" in capsys.readouterr().err
    gatewise.load(tmp_path / "run").predict()
    assert "calibrated" not in capsys.readouterr().err


@pytest.mark.parametrize(("starts", "blocks"), [((0, 0), 6), ((0, 500), 12)])
def test_forecasts_of_series_at_the_same_time_are_in_one_block(starts, blocks):
    # 6 forecasts of 2 steps in each series, or 12 in all where the series are not at the same time.
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 30, generator=generator, dtype=torch.float64)
    data = panel(noise[0].tolist(), season=1, horizon=2)
    series = [
        dataclasses.replace(data.series[0], first=first, values=values.numpy())
        for first, values in zip(starts, noise, strict=True)
    ]
    both = Panel(data.preprocessing, series)
    positions = [begin + index for begin in both.begins for index in range(8, 20)]
    test = back_test(both, positions, [[0.0, 0.0]] * len(positions), (0.1, 0.5, 0.9), 1.0)
    test = dataclasses.replace(test, series=both.series_at(test.positions))
    assert len(test.blocks().unique()) == blocks
    notices = []
    Calibration.learn(test, notices.append)
    assert ["6 in the held-out part do not overlap in time" in one for one in notices] == [True] * (blocks == 6)


def walks(generator, times, series, shared, horizon):
    """Errors (times, series) of the last step of forecasts of random walks, with variance 1; some of it is shared."""
    steps = torch.randn(times + horizon, 1, generator=generator, dtype=torch.float64) * shared**0.5
    own = torch.randn(times + horizon, series, generator=generator, dtype=torch.float64) * (1 - shared) ** 0.5
    walked = (steps + own).cumsum(0)
    return (walked[horizon:] - walked[:-horizon]) / horizon**0.5


def mean_coverage(times, series, shared, horizon, blocks=None):
    """The coverage, of any further errors, of intervals that are calibrated by some."""
    generator = torch.Generator().manual_seed(0)
    if blocks is None:
        blocks = (torch.arange(times) // horizon)[:, None].expand(-1, series).flatten()
    found = []
    for _ in range(200):
        errors = walks(generator, times, series, shared, horizon).flatten()
        moves = moves_of(errors[:, None, None].expand(-1, 1, 3), blocks, (0.1, 0.5, 0.9))
        below, above = torch.special.ndtr(moves[0, [0, 2]]).tolist()
        found.append(above - below)
    return sum(found) / len(found)


@pytest.mark.parametrize(
    ("times", "series", "shared", "horizon"),
    [(120, 8, 0.8, 12), (120, 8, 0.0, 12), (120, 1, 0.0, 12), (108, 8, 1.0, 12), (30, 40, 0.5, 1), (24, 60, 0.0, 12)],
)
def test_coverage_is_nominal_whether_series_move_together_or_not(times, series, shared, horizon):
    assert mean_coverage(times, series, shared, horizon) == pytest.approx(0.8, abs=0.025)


def test_counting_forecasts_of_one_time_as_independent_covers_less():
    assert mean_coverage(120, 8, 0.8, 12, blocks=torch.arange(960)) < 0.77


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 1000))
def test_the_effective_count_by_copies(groups, copies, seed):
    # What is there several times at one time counts once.
    missed = torch.rand(groups, 2, generator=torch.Generator().manual_seed(seed)) < 0.3
    blocks = torch.arange(groups)
    found = effective_count(missed.repeat_interleave(copies, 0), blocks.repeat_interleave(copies))
    assert found == effective_count(missed, blocks)
    assert found == groups
