"""Right answers pass, wrong ones do not."""

import re

import pytest
import torch

from benchmarks.agreement import WRONG, Reference
from benchmarks.cases import Case
from benchmarks.contenders import Local, ours, torch_nn

CASE = Case("lstm", "training", 3, 8, 6)


class Spoiled:
    """A competitor that gets one thing wrong."""

    name = "spoiled"
    remote = False

    def __init__(self, case, spoil):
        self._contender = torch_nn(case)
        self._spoil = spoil

    def compute(self):
        results = {name: tensor.detach().clone() for name, tensor in self._contender.compute().items()}
        self._spoil(results)
        return results

    def time_calls(self, calls):
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
def test_a_wrong_answer_is_reported(case):
    spoil, message = SPOILED[case]
    agreement = Reference(CASE).agreement(Spoiled(CASE, spoil))
    assert agreement.wrong is not None
    assert re.search(message, agreement.wrong)


@pytest.mark.parametrize("mode", ["training", "inference"])
@pytest.mark.parametrize(
    "case",
    [
        CASE,
        Case("gru_cudnn", "training", 1, 8, 6),
        Case("rnn_tanh", "training", 3, 8, 6),
        Case("lstm", "training", 3, 8, 6, bidirectional=True),
        Case("gru_cudnn", "training", 3, 8, 6, ragged=True),
    ],
    ids=str,
)
def test_ours_and_torchs_are_right(case, mode):
    case = Case(**{**vars(case), "mode": mode})
    reference = Reference(case)
    for contender in (ours(case), ours(case, "torch"), torch_nn(case)):
        assert isinstance(contender, Local)
        agreement = reference.agreement(contender)
        assert agreement.wrong is None
        assert 0 <= agreement.error_ratio <= WRONG


def test_resets_are_part_of_the_answer():
    case = Case("lstm", "training", 3, 8, 6, reset=0.5)
    reference = Reference(case)
    assert reference.agreement(ours(case)).wrong is None
    assert reference.agreement(ours(Case("lstm", "training", 3, 8, 6))).wrong is not None


def test_turns_change_the_weights_only_when_training():
    for mode in ("training", "inference"):
        contender = ours(Case("lstm", mode, 3, 8, 6))
        before = [weight.detach().clone() for weight in contender._weights]
        assert len(contender.time_calls(3)) == 3
        changed = [not torch.equal(a, b) for a, b in zip(before, contender._weights, strict=True)]
        assert set(changed) == {mode == "training"}
