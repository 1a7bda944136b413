"""The recurrent cases of the installed onnx package."""

import importlib
import warnings

import numpy as np
import pytest
import torch
from onnx import ModelProto
from onnx.backend.test.case import node as cases

from gatewise.interchange.onnx import from_onnx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for module in ("rnn", "gru", "lstm"):
        importlib.import_module(f"onnx.backend.test.case.node.{module}")  # adds its cases to the list

CASES = [case for case in cases._NodeTestCases if case.model.graph.node[0].op_type in ("RNN", "GRU", "LSTM")]


def test_there_are_cases() -> None:
    assert len(CASES) >= 18


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: cases.TestCase) -> None:
    assert isinstance(case.model, ModelProto)
    node = case.model.graph.node[0]
    ((inputs, outputs),) = case.data_sets
    values = dict(zip([name for name in node.input if name], inputs, strict=True))
    x = torch.from_numpy(values.pop("X"))
    found = from_onnx(case.model, values)
    ((layer, states),) = found.values()
    with torch.no_grad():
        output, final = layer(x, states, lengths=next(iter(found.values())).lengths)
    results = [output.unflatten(-1, (-1, layer.hidden_size)), *(final if isinstance(final, tuple) else (final,))]
    results[0] = results[0] if layer.batch_first else results[0].transpose(1, 2)
    if layer.batch_first:
        results[1:] = [state.transpose(0, 1) for state in results[1:]]
    names = ["Y", "Y_h", "Y_c"]
    for name, expected in zip([name for name in node.output if name], outputs, strict=True):
        np.testing.assert_allclose(results[names.index(name)], expected, rtol=1e-5, atol=1e-6)
