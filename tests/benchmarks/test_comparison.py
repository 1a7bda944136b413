"""Who takes part at a case and what is made of their times. The times themselves are given."""

import pytest
import torch

from benchmarks import comparison as comparison_module
from benchmarks.cases import Case
from benchmarks.comparison import candidates, checked, compare
from benchmarks.statistics import Quartiles
from benchmarks.workers.client import WorkerError

CASE = Case("lstm", "training", 3, 8, 6)


@pytest.fixture
def seconds(monkeypatch):
    """Sets what every contender's call takes, by its name; others take a second."""
    taken = {}

    def given_times(contenders, pairs):
        for contender in contenders:
            contender.time_calls(1)
        return [[taken.get(contender.name, 1.0)] * pairs for contender in contenders]

    monkeypatch.setattr(comparison_module, "interleaved", given_times)
    return taken


def spoil(monkeypatch, name):
    """Makes what a contender of this name computes wrong."""
    plain = comparison_module.candidates

    def spoiled(*arguments):
        entries, unavailable = plain(*arguments)
        for entry in entries:
            if entry.contender.name == name:
                right = entry.contender.compute()
                entry.contender.compute = lambda right=right: {key: 1.5 * value for key, value in right.items()}
        return entries, unavailable

    monkeypatch.setattr(comparison_module, "candidates", spoiled)


def test_ratios_and_rates(seconds):
    seconds.update({"gatewise": 0.5, "torch.nn.LSTM": 2.0, "Python loop": 4.0, "torch.mm": 1.0})
    comparison = compare(CASE, "core", ["torch", "loop"], {}, 10)
    ours, torchs, loop = comparison.rows
    assert [row.contender for row in comparison.rows] == ["gatewise", "torch.nn.LSTM", "Python loop"]
    assert [row.kind for row in comparison.rows] == ["ours", "peer", "peer"]
    assert ours.ratio is None
    assert torchs.ratio == Quartiles(4.0, 4.0, 4.0)
    assert loop.ratio == Quartiles(8.0, 8.0, 8.0)
    assert ours.us_per_step.median == pytest.approx(0.5e6 / 6)
    assert ours.gflops == pytest.approx(CASE.operations() / 0.5 / 1e9)
    # torch.mm at (64·B, H) × (H, 4·H)
    assert comparison.mm_gflops == pytest.approx(2 * 64 * 3 * 8 * 32 / 1e9)
    assert ours.share_of_mm == pytest.approx(ours.gflops / comparison.mm_gflops)
    assert comparison.wrong == {}
    assert comparison.checked_steps == CASE.T


def test_a_wrong_competitor_gets_no_time(seconds, monkeypatch):
    spoil(monkeypatch, "torch.nn.LSTM")
    comparison = compare(CASE, "core", ["torch", "loop"], {}, 10)
    assert [row.contender for row in comparison.rows] == ["gatewise", "Python loop"]
    assert list(comparison.wrong) == ["torch.nn.LSTM"]
    assert not comparison.ours_is_wrong


def test_when_ours_is_wrong_nothing_is_timed(monkeypatch):
    spoil(monkeypatch, "gatewise")
    monkeypatch.setattr(comparison_module, "interleaved", lambda *_: pytest.fail("timed a wrong answer"))
    comparison = compare(CASE, "core", ["torch"], {}, 10)
    assert comparison.rows == ()
    assert list(comparison.wrong) == ["gatewise"]
    assert comparison.ours_is_wrong


def test_ragged_rows_are_timed_by_valid_step(seconds):
    case = Case("lstm", "inference", 4, 8, 20, ragged=True)
    valid = int(comparison_module.make_inputs(case).lengths.sum())
    assert valid < 80
    seconds.update({"gatewise": 1.0, "our padded batch": 1.0, "torch.nn.LSTM": 3.0})
    ours, padded, packed = compare(case, "ragged", ["torch"], {}, 10).rows
    assert ours.us_per_step.median == pytest.approx(1e6 * 4 / valid)
    assert padded.us_per_step.median == pytest.approx(1e6 / 20)
    assert padded.kind == "baseline"
    assert padded.ratio is not None
    assert padded.ratio.median == pytest.approx(80 / valid)
    assert packed.ratio is not None
    assert packed.ratio.median == pytest.approx(3)


@pytest.mark.parametrize(
    ("grid", "case", "name"),
    [
        ("reset", Case("lstm", "inference", 3, 8, 6, reset=0.3), "ours without resets"),
        ("variants", Case("peephole_lstm", "inference", 3, 8, 6), "our lstm"),
        ("variants", Case("gru_chung2014", "inference", 3, 8, 6), "our gru_cudnn"),
    ],
)
def test_a_harder_task_is_reported_as_overhead(seconds, grid, case, name):
    seconds.update({"gatewise": 3.0, name: 2.0})
    _, lighter = compare(case, grid, [], {}, 10).rows
    assert lighter.contender == name
    assert lighter.kind == "baseline"
    assert lighter.ratio == Quartiles(1.5, 1.5, 1.5)


def test_who_cannot_take_part_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "compile", lambda loop, **_: loop)  # which would import the compiler
    case = Case("peephole_lstm", "training", 3, 8, 60)
    entries, unavailable = candidates(case, "core", ["torch", "compiled"], {})
    assert unavailable == ["torch.nn has no peephole_lstm"]
    assert [(entry.contender.name, entry.case.T) for entry in entries] == [("gatewise", 60), ("torch.compile", 50)]


def test_a_worker_that_ends_is_absent():
    class Ending:
        def contender(self, case):
            raise WorkerError("jax ended with code 1: out of memory")

    entries, unavailable = candidates(CASE, "core", ["jax"], {"jax": Ending()})
    assert [entry.contender.name for entry in entries][:1] == ["gatewise"]
    assert "jax ended with code 1: out of memory" in unavailable


def test_long_points_are_checked_short_and_timed_long(seconds):
    case = Case("rnn_tanh", "inference", 1, 8, 300)
    comparison = compare(case, "core", ["torch"], {}, 10)
    assert comparison.checked_steps == 200
    assert comparison.rows[0].us_per_step.median == pytest.approx(1e6 / 300)
    assert [row.contender for row in comparison.rows] == ["gatewise", "torch.nn.RNN"]


def test_the_loop_alone_is_shown_where_the_fused_kernels_run(seconds):
    comparison = compare(CASE, "core", [], {}, 10)
    if comparison.backend != "cpu":
        pytest.skip("the package was installed without compiled kernels")
    loop = comparison.loop
    assert loop is not None
    assert loop.forward_us > 0
    assert loop.backward_us is not None
    assert loop.backward_us > 0
    assert loop.products_us > 0
    assert loop.rest_us > 0


def test_checking_leaves_gradients_on():
    checked(candidates(Case("lstm", "inference", 3, 8, 6), "core", [], {}))
    assert torch.is_grad_enabled()


def test_a_stream_is_timed_beside_steps_the_sequence_and_torchs_cell(seconds):
    case = Case("gru_cudnn", "inference", 1, 8, 6, stream=True)
    comparison = compare(case, "stream", ["torch", "loop"], {}, 10)
    assert [(row.contender, row.kind) for row in comparison.rows] == [
        ("gatewise", "ours"),
        ("our step", "baseline"),
        ("our whole sequence", "baseline"),
        ("torch.nn.GRUCell", "peer"),
    ]
    assert all(row.error_ratio <= 1 for row in comparison.rows)
    assert comparison.loop is None
    assert "loop is for whole sequences" in comparison.unavailable
    variant = compare(Case("gru_chung2014", "inference", 1, 8, 6, stream=True), "stream", ["torch"], {}, 10)
    assert "torch.nn has no gru_chung2014" in variant.unavailable
