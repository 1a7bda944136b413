"""The table, the summary, and the JSON."""

import json

import pytest

from benchmarks.cases import Case
from benchmarks.report import block, heading, summary
from benchmarks.results import BenchmarkResults, Comparison, ContenderResult, LoopBreakdown, means
from benchmarks.statistics import Quartiles

MACHINE: dict[str, str | int] = {
    "gatewise": "0.1",
    "torch": "2.13.0",
    "processor": "A processor",
    "processors": 4,
    "threads": 2,
    "instruction_set": "avx2",
    "torch_instruction_set": "AVX2",
    "jax": "jax 0.10.2",
}


def row(contender, kind, us, ratio, error_ratio=0.5):
    about = None if ratio is None else Quartiles(ratio, ratio * 0.9, ratio * 1.1)
    return ContenderResult(contender, kind, Quartiles(us, us * 0.9, us * 1.1), about, 12.5, 0.25, error_ratio)


def comparison(ratios, cell="lstm", **changed):
    rows = [row("gatewise", "ours", 10.0, None)]
    for contender, ratio in ratios.items():
        rows.append(row(contender, "baseline" if contender.startswith("our") else "peer", 10 * ratio, ratio))
    fields = {
        "case": Case(cell, "training", 1, 64, 100),
        "backend": "cpu",
        "mm_gflops": 50.0,
        "checked_steps": 100,
        "rows": tuple(rows),
        "wrong": {},
        "unavailable": (),
        "loop": None,
    }
    return Comparison(**{**fields, **changed})


def results(*comparisons, **changed):
    made = BenchmarkResults("core", MACHINE, 10, 0.1, **changed)
    made.comparisons.extend(comparisons)
    return made


def test_a_point_is_a_table():
    lines = block(comparison({"torch.nn.LSTM": 2.0}), set()).splitlines()
    assert lines[1] == "lstm training B=1 H=64 T=100   backend cpu, torch.mm 50 GF/s"
    assert lines[2].split() == ["µs", "a", "step", "ratio", "GF/s", "of", "mm"]
    assert lines[3].split() == ["gatewise", "10.0", "(9.00–11.0)", "12.5", "25%"]
    assert lines[4].split() == ["torch.nn.LSTM", "20.0", "(18.0–22.0)", "2.00", "(1.80–2.20)×", "12.5", "25%"]
    assert len({len(line) for line in lines[2:5]}) == 1


def test_a_wrong_side_has_words_and_no_numbers():
    text = block(comparison({}, wrong={"jax": "output is 0.1 off"}), set())
    (line,) = [line for line in text.splitlines() if "jax" in line]
    assert line.strip() == "WRONG, not timed: jax: output is 0.1 off"


def test_when_ours_is_wrong_there_is_no_table():
    text = block(comparison({}, rows=(), wrong={"gatewise": "output is 0.1 off"}), set())
    assert "µs" not in text
    assert "WRONG, not timed: gatewise" in text


def test_errors_beyond_the_tolerance_are_noted():
    rows = (row("gatewise", "ours", 10.0, None, error_ratio=1.7), row("jax", "peer", 10.0, 1.0, error_ratio=1.0))
    text = block(comparison({}, rows=rows), set())
    assert text.count("the tests' tolerance") == 1
    assert "1.7 × the tests' tolerance" in text


def test_steps_that_were_not_compared_are_said():
    assert "compared with the reference over 20 steps" in block(comparison({}, checked_steps=20), set())
    assert "compared with" not in block(comparison({}), set())


def test_the_loop_breakdown_is_shown():
    loop = LoopBreakdown(1.5, 0.8, 2.5, 0.7, 40.0, 25.0)
    text = block(comparison({}, loop=loop), set())
    assert "forward 1.50 µs a step, 80% of mm; backward 2.50 µs, 70%" in text
    assert "40.0 µs in large products, 25.0 µs on the rest" in text
    without = block(comparison({}, loop=LoopBreakdown(1.5, 0.8, None, None, 40.0, 25.0)), set())
    assert "backward" not in without


def test_a_reason_is_printed_once():
    displayed = set()
    unavailable = comparison({}, unavailable=("onnxruntime does not train",))
    assert "(onnxruntime does not train)" in block(unavailable, displayed)
    assert "onnxruntime" not in block(unavailable, displayed)


def test_means_by_side_and_of_the_best_peer():
    first = comparison({"torch.nn.LSTM": 8.0, "jax": 2.0, "our padded batch": 0.5})
    second = comparison({"torch.nn.LSTM": 0.5, "jax": 4.0, "our padded batch": 2.0})
    found = {mean.contender: (mean.ratio, mean.least, mean.most, mean.cases) for mean in means([first, second])}
    assert found == {
        "torch.nn.LSTM": pytest.approx((2.0, 0.5, 8.0, 2)),
        "jax": pytest.approx((8.0**0.5, 2.0, 4.0, 2)),
        "our padded batch": pytest.approx((1.0, 0.5, 2.0, 2)),
        "best peer": pytest.approx((1.0, 0.5, 2.0, 2)),
    }


def test_means_keep_cells_and_modes_apart():
    found = means([comparison({"jax": 2.0}), comparison({"jax": 2.0}, "rnn_tanh")])
    assert {(mean.cell, mean.cases) for mean in found} == {("lstm", 1), ("rnn_tanh", 1)}


def test_the_summary():
    made = results(comparison({"jax": 2.0}), skipped={"no time left": ["one case", "another"]}, other_processes=0.3)
    made.warnings.append("others are at work")
    text = summary(made)
    assert "best peer                2.00× (2.00, 2.00)  1 case" in text
    assert "skipped, no time left: one case; another" in text
    assert "other processes kept 0.30 processors busy" in text
    assert "WARNING: others are at work" in text
    assert "nothing was compared" in summary(results())


def test_the_heading():
    made = results(unavailable=["onnxruntime is not timed: not installed"])
    made.warnings.append("the load average was 3.0")
    text = heading(made)
    for part in (
        "A processor, 2 of 4 processors",
        "instruction set avx2 (torch: AVX2)",
        "gatewise 0.1, torch 2.13.0, jax 0.10.2; load average 0.10 at the start",
        "WARNING: the load average was 3.0",
        "onnxruntime is not timed: not installed",
        "Medians of 10",
    ):
        assert part in text


def test_json():
    loop = LoopBreakdown(1.5, 0.8, None, None, 40.0, 25.0)
    made = results(comparison({"jax": 2.0}, loop=loop, wrong={"torch.nn.LSTM": "why"}))
    read = json.loads(json.dumps(made.as_dict(), allow_nan=False))
    assert read.keys() == {
        "format", "grid", "machine", "pairs", "load_average", "other_processes", "warnings", "unavailable",
        "comparisons", "skipped", "geometric_means",
    }  # fmt: skip
    assert read["format"] == 2
    (one,) = read["comparisons"]
    assert one.keys() == {"case", "backend", "mm_gflops", "checked_steps", "rows", "wrong", "unavailable", "loop"}
    assert one["case"] == {
        "cell": "lstm", "mode": "training", "B": 1, "H": 64, "T": 100, "bidirectional": False, "ragged": False,
        "reset": 0.0, "stream": False, "text": "",
    }  # fmt: skip
    ours, jax = one["rows"]
    assert ours["ratio"] is None
    assert jax == {
        "contender": "jax",
        "kind": "peer",
        "us_per_step": {"median": 20.0, "low": 18.0, "high": 22.0},
        "ratio": {"median": 2.0, "low": 1.8, "high": 2.2},
        "gflops": 12.5,
        "share_of_mm": 0.25,
        "error_ratio": 0.5,
    }
    assert one["wrong"] == {"torch.nn.LSTM": "why"}
    assert one["loop"]["rest_us"] == 25.0
    assert read["geometric_means"][0] == {
        "cell": "lstm", "mode": "training", "contender": "jax", "ratio": 2.0, "least": 2.0, "most": 2.0, "cases": 1,
    }  # fmt: skip
