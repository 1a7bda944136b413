"""Right answers pass, wrong ones do not."""

import re

import pytest
import torch

from gatewise.benchmarks.agreement import WRONG, Reference
from gatewise.benchmarks.points import Point
from gatewise.benchmarks.sides import Local, ours, torch_nn

POINT = Point("lstm", "training", 3, 8, 6)


class Spoiled:
    """A competitor that gets one thing wrong."""

    name = "spoiled"
    remote = False

    def __init__(self, point, spoil):
        self._side = torch_nn(point)
        self._spoil = spoil

    def results(self):
        results = {name: tensor.detach().clone() for name, tensor in self._side.results().items()}
        self._spoil(results)
        return results

    def turn(self, calls):
        raise AssertionError("a wrong answer must not be timed")


def shifted(name, by):
    def spoil(results):
        results[name].view(-1)[0] += by

    return spoil


def without(name):
    return lambda results: results.pop(name)


def transposed(results):
    results["output"] = results["output"].transpose(0, 1)


SPOILED = {
    "output": (shifted("output", 1e-3), "output is 0.001 off"),
    "NaN": (shifted("output", float("nan")), "output is nan off"),
    "gradient of x": (shifted("gradient of x", 1e-3), "gradient of x is 0.001 off"),
    "gradient of a weight": (shifted("gradient of weight_hh_l0", 0.01), "gradient of weight_hh_l0 is 0.01 off"),
    "shape": (transposed, r"output has shape \(3, 6, 8\) instead of \(6, 3, 8\)"),
    "missing": (without("gradient of bias_hh_l0"), "instead of output, .*gradient of bias_hh_l0"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_wrong_answer_is_told(case):
    spoil, told = SPOILED[case]
    agreement = Reference(POINT).agreement(Spoiled(POINT, spoil))
    assert agreement.wrong is not None
    assert re.search(told, agreement.wrong)


@pytest.mark.parametrize("mode", ["training", "inference"])
@pytest.mark.parametrize(
    "point",
    [
        POINT,
        Point("gru_cudnn", "training", 1, 8, 6),
        Point("rnn_tanh", "training", 3, 8, 6),
        Point("lstm", "training", 3, 8, 6, bidirectional=True),
        Point("gru_cudnn", "training", 3, 8, 6, ragged=True),
    ],
    ids=str,
)
def test_ours_and_torchs_are_right(point, mode):
    point = Point(**{**vars(point), "mode": mode})
    reference = Reference(point)
    for side in (ours(point), ours(point, "torch"), torch_nn(point)):
        assert isinstance(side, Local)
        agreement = reference.agreement(side)
        assert agreement.wrong is None
        assert 0 <= agreement.excess <= WRONG


def test_resets_are_part_of_the_answer():
    point = Point("lstm", "training", 3, 8, 6, reset=0.5)
    reference = Reference(point)
    assert reference.agreement(ours(point)).wrong is None
    assert reference.agreement(ours(Point("lstm", "training", 3, 8, 6))).wrong is not None


def test_turns_change_the_weights_only_when_training():
    for mode in ("training", "inference"):
        side = ours(Point("lstm", mode, 3, 8, 6))
        before = [weight.detach().clone() for weight in side._weights]
        assert len(side.turn(3)) == 3
        changed = [not torch.equal(a, b) for a, b in zip(before, side._weights, strict=True)]
        assert set(changed) == {mode == "training"}
