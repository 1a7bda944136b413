"""Every finding has advice and a command that explains it."""

import math
import re

import pytest

from gatewise.cells import lookup, names
from gatewise.diagnostics.advice import _TOPICS, advice_for, advice_for_long_spans, bias_for, page_of
from gatewise.equations import Cell, cell, sigmoid
from gatewise.equations.retention import retention_gates
from gatewise.explanations import explain


@pytest.mark.parametrize("kind", _TOPICS)
def test_the_command_that_explains_a_finding_exists(kind: str):
    command, _, topic = page_of(kind).rpartition(" ")
    assert command == "gatewise explain"
    assert explain(topic)


@cell
def another(x, h, /, W, R, b):
    return sigmoid(W @ x + R @ h + b)


CELLS = [*map(lookup, names()), another]
SENTENCE = r"[A-Z].*[^.]\."


@pytest.mark.parametrize("kind", _TOPICS)
@pytest.mark.parametrize("cell", [*CELLS, None], ids=lambda one: one.name if one else "model")
def test_every_finding_has_advice(kind: str, cell: Cell | None):
    for gate in ("", "f", "z", "layers"):
        if kind != "vanishing" or gate == "layers":
            assert re.fullmatch(SENTENCE, advice_for(kind, cell, gate))


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=lambda one: one.name)
def test_advice_for_long_spans(cell: Cell, dense: bool):
    for bias in (-1.0, 1.0, 8.0) if retention_gates(cell) else (None,):
        text = advice_for_long_spans(cell, 100, bias, dense=dense)
        assert re.fullmatch(SENTENCE, text)
        assert "gatewise.Init(chrono=100)" in text
        assert ("more steps" in text) != dense
        assert ("--forget-bias" in text) == (bias is not None and bias < 3)  # never what is there already


def test_advice_fits_the_cell():
    assert "1/4" in advice_for_long_spans(lookup("rnn_sigmoid"), 50, None)
    assert "IRNN" in advice_for_long_spans(lookup("rnn_relu"), 50, None)


@pytest.mark.parametrize("span", [50, 100, 1000])
def test_the_bias_for_a_span(span: int):
    keeps = 1 / (1 + math.exp(-bias_for(span)))
    assert keeps**span == pytest.approx(0.01, rel=0.5)
    assert bias_for(1) == 1.0
