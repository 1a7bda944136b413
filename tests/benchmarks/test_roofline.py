"""The benchmark of phases beside the limits of the machine, really timed."""

import pytest

from benchmarks import roofline
from benchmarks.roofline import PRODUCTS, Limits, Phase
from csrc.tests.build import compiler
from tests.combinations import ALL
from tests.kernels.engine import needs_engine

FLOATS = PRODUCTS[0]


def test_a_phase_is_bound_by_the_longer_of_its_two_limits() -> None:
    limits = Limits({"float32": 2.0}, {1000: 1.0})
    assert limits.of(FLOATS, Phase("loop", 8000, 1000, 5, 0.0)) == (5e-6, "bytes")
    assert limits.of(FLOATS, Phase("loop", 8000, 1000, 1, 0.0)) == (4e-6, "multiply-adds")


@needs_engine
def test_phases_of_every_product(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # Of calls: the steps of one row, with x before the loop; those of several rows, with x in it.
    monkeypatch.setattr(roofline, "INFERENCE", ((1, 16, 3), (8, 16, 3)))
    monkeypatch.setattr(roofline, "TRAINING", ((8, 16, 3),))
    monkeypatch.setattr(
        roofline,
        "measured_limits",
        lambda sizes: Limits({one.name: 100.0 for one in PRODUCTS}, dict.fromkeys(sizes, 100.0)),
    )
    roofline.main(["--rounds", "2"])
    *_, table = capsys.readouterr().out.split("\n\n")
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    inference = [("products with x", "0.00 M"), ("loop", "0.00 M"), ("loop, with x", "0.02 M")]
    training = [("loop, with x", "0.02 M"), ("loop, backward", "0.01 M"), ("gradients of x and of weights", "0.02 M")]
    assert [(row[0], row[1], row[3], row[4]) for row in rows] == [
        (mode, product.name, *phase)
        for product in PRODUCTS
        for mode, phases in (("inference", inference), ("training", training if product.trains else []))
        for phase in phases
    ]
    assert all(float(row[7]) > 0 for row in rows)


@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
@pytest.mark.skipif(not ALL, reason="a program to compile: make test-all")
def test_near_weights_are_read_faster() -> None:
    limits = roofline.measured_limits([1 << 18, 1 << 26])
    assert list(limits.multiply_adds) == [one.name for one in PRODUCTS]
    assert limits.bytes[1 << 18] > limits.bytes[1 << 26] > 0
