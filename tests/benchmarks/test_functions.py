"""Functions as contenders, and the scripts that time them."""

from types import SimpleNamespace

import pytest
import torch

import gatewise
from benchmarks import functions, mask_overhead, other_libraries, scan_overhead
from benchmarks.statistics import Quartiles

SAME = Quartiles(2.0, 2.0, 2.0)


@pytest.fixture
def timed(monkeypatch):
    """The first of two functions takes twice as long, in rounds of 2, 4 and 6 seconds."""
    monkeypatch.setattr(functions, "interleaved", lambda contenders, pairs: [[2.0, 4.0, 6.0], [1.0, 2.0, 3.0]])


def test_functions_take_turns():
    log: list[str] = []
    times = functions.beside(lambda: log.append("a"), lambda: log.append("b"), 3)
    assert "".join(log).strip("ab") == ""
    assert [name for name, other in zip(log, ["", *log], strict=False) if name != other][-6:] == ["a", "b"] * 3
    assert min(times.first.low, times.second.low) > 0


def test_the_ratio_is_formed_within_a_round(timed):
    times = functions.beside(int, int, 3)
    assert (times.first.median, times.second.median, times.ratio) == (4.0, 2.0, SAME)


def test_every_example_is_found_and_its_library_named():
    assert {"sb3_recurrent_ppo", "torchrl_modules", "ray_train"} < set(other_libraries.EXAMPLES)
    for name in other_libraries.EXAMPLES:
        example = other_libraries.opened(name)
        assert example.cases if not isinstance(example, str) else example.endswith(" is not installed")


def test_rows_of_an_example(timed, monkeypatch, capsys):
    answers = {"right": torch.ones(2), "wrong": torch.zeros(2)}

    def example(ours: str) -> SimpleNamespace:
        return SimpleNamespace(cases=lambda: {"what": (lambda: [torch.ones(2)], lambda: [answers[ours]])})

    monkeypatch.setattr(other_libraries, "opened", lambda name: example("right"))
    assert other_libraries.rows_of("ray_train", 3) == ["| `ray_train` | what | 4000.0 | 2000.0 | 2.0× (2.0–2.0) |"]
    other_libraries.main(["ray_train", "--pairs", "3"])
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "|---|---|---|---|---|",
        *other_libraries.rows_of("ray_train", 3),
    ]
    monkeypatch.setattr(other_libraries, "opened", lambda name: example("wrong"))
    with pytest.raises(AssertionError):
        other_libraries.rows_of("ray_train", 3)
    monkeypatch.setattr(other_libraries, "opened", lambda name: "ray is not installed")
    assert other_libraries.rows_of("ray_train", 3) == ["| `ray_train` | not measured: ray is not installed | | | |"]
    with pytest.raises(SystemExit):
        other_libraries.main(["ray"])
    assert "unknown example 'ray'; there are captum_attributions, " in capsys.readouterr().err


def test_overhead_of_masks(timed, monkeypatch, capsys):
    monkeypatch.setattr(mask_overhead, "SHAPES", ((2, 3, 10),))
    mask_overhead.main(["--pairs", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| 2, 3, 10 | all steps valid | 2.00× (2.00–2.00) | 2.00× (2.00–2.00) |"
    assert len(lines) == 5


@pytest.mark.parametrize("training", [True, False])
def test_a_mask_is_compared_with_as_many_steps(training):
    layer, x = gatewise.LSTM(3, 4), torch.randn(10, 2, 3, requires_grad=True)
    named = dict(mask_overhead.masks(2, 10))
    assert [int(mask.sum()) for mask in named.values()][:2] == [20, 18]
    masked, shorter = mask_overhead.calls(layer, x, named["all steps valid"], training=training)
    torch.testing.assert_close(masked(), shorter())


def test_overhead_of_loops_in_onnx_runtime(timed, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(scan_overhead, "SHAPES", ((2, 3, 5),))
    scan_overhead.main(["--pairs", "3"])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| 2, 3, 5 | 4e+03 | 2e+03 | 2.00× (2.00–2.00) | 2.00× (2.00–2.00) |"
    ]
