"""Exports whose layers multiply 8-bit integers: the bits of frozen layers, from integers in the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gatewise
from gatewise import runtime
from gatewise.interchange.c.layers import model_of
from gatewise.interchange.c.quantising import in_precision, quantised
from gatewise.interchange.c.weights import weights_file
from tests.combinations import ALL
from tests.interchange.c.exported import both_directions, compiler, exported, narrow
from tests.interchange.c.test_layers import ROWS, STEPS, arguments, as_arrays, of_model, options, results
from tests.interchange.c.test_weights import changed, created, signed
from tests.kernels.engine import needs_engine

needs_compiler = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
pytestmark = needs_engine


@needs_compiler
@pytest.mark.parametrize("left_out", [(), ("mask",), ("lengths", "reset", "mask")], ids=["all", "no mask", "plain"])
def test_outputs_and_states_have_the_bits_of_frozen_layers(left_out: tuple[str, ...]) -> None:
    module, folder = exported(narrow, "int8")
    given = {name: one for name, one in arguments().items() if name not in left_out}
    given["x"] = given["x"].float()
    model = runtime.load(folder, max_batch=ROWS, chunk=STEPS)
    found = of_model(module, model, model.run(given["x"].numpy(), **as_arrays(given)))
    with torch.no_grad(), module.frozen(precision="int8"):
        expected = results(*module(given["x"], **options(given)))
    assert found.keys() == expected.keys()
    for name, one in found.items():
        assert torch.equal(one, expected[name]), name
    assert not torch.equal(module(given["x"], **options(given))[0], found["output"])


@needs_compiler
@pytest.mark.skipif(not ALL, reason="another library to compile: make test-all")
@pytest.mark.parametrize("make", [both_directions])
def test_learned_merges_in_floats_stand_between_layers(make: Callable[[], gatewise.Stack]) -> None:
    """Their last bits are torch's own, so that a rounding to integers after them may go the other way."""
    module, folder = exported(make, "int8")
    given = {name: one.float() if name == "x" else one for name, one in arguments().items()}
    model = runtime.load(folder, max_batch=ROWS, chunk=STEPS)
    found = of_model(module, model, model.run(given["x"].numpy(), **as_arrays(given)))
    with torch.no_grad(), module.frozen(precision="int8"):
        expected = results(*module(given["x"], **options(given)))
    for name, one in found.items():
        difference = (one - expected[name]).abs()
        assert difference.max() <= 0.02, name
        assert difference.median() <= 1e-6, name


@needs_compiler
def test_chunks_and_steps_have_the_same_bits() -> None:
    _, folder = exported(narrow, "int8")
    x = torch.randn(STEPS, ROWS, 5, generator=torch.Generator().manual_seed(1)).numpy()
    whole = runtime.load(folder, max_batch=ROWS, chunk=STEPS).run(x)
    for row in range(ROWS):
        np.testing.assert_array_equal(runtime.load(folder, chunk=STEPS).run(x[:, row]), whole[:, row])


def test_weights_are_integers_in_the_file() -> None:
    """All matrices but those that expressions of parameters alone read."""
    model = model_of(narrow().requires_grad_(False))
    integers = in_precision(model, "int8")
    for before, after in zip(model.layers, integers.layers, strict=True):
        kept = {"R"} if after.cell.name == "hoisted" else set[str]()
        scales = iter(after.scales)
        for at, (one, other) in enumerate(zip(before.parameters, after.parameters, strict=True)):
            group = after.cell.groups[at % len(after.cell.groups)]
            if one.ndim == 1 or group in kept:
                assert other is one
                continue
            assert other.dtype == np.int8
            scale = next(scales)[:, None]
            assert (np.abs(other).max(1) == 127).all()
            assert (np.abs(other * scale.astype(float) - one) <= scale * 0.5001).all()
        assert not list(scales)
    large = model_of(gatewise.LSTM(64, 64).requires_grad_(False))
    assert len(weights_file(in_precision(large, "int8"))) < 0.3 * len(weights_file(large))


def test_rows_that_no_float_scales() -> None:
    """Zeros, numbers too small for a scale, and numbers that are not finite; ties go to the even integer."""
    rows = np.array([[0, 0, 0], [1e-40, 0, -1e-41], [1, np.inf, 2], [np.nan, 1, 0], [127, 2.5, -3.5]], np.float32)
    integers, scales = quantised(rows)
    np.testing.assert_array_equal(integers, [[0] * 3, [0] * 3, [0] * 3, [0] * 3, [127, 2, -4]])
    np.testing.assert_array_equal(scales, np.array([0, 0, np.nan, np.nan, 1], np.float32))


@needs_compiler
def test_other_files_are_rejected() -> None:
    module, folder = exported(narrow, "int8")
    content = (folder / "weights.bin").read_bytes()
    assert content == weights_file(in_precision(model_of(module), "int8")) == signed(content)
    for message, other in {
        "a tensor has another type": changed(content, 64, "<Q", 4),
        "a tensor has another type ?": changed(content, 64, "<Q", 1 << 62),
        "a tensor is outside the file": changed(content, 40, "<Q", len(content) // 64 * 64),
        "the file belongs to another model": weights_file(model_of(module)),
    }.items():
        with pytest.raises(ValueError, match=f"weights: {message}"):
            created(folder, other)


def test_the_folder_says_its_precision(tmp_path: Path) -> None:
    layer = gatewise.GRU(2, 3)
    gatewise.to_c(layer, tmp_path / "floats")
    gatewise.to_c(layer, tmp_path / "integers", precision="int8")
    for name, precision, sentence in (
        ("floats", None, "Numbers are float32."),
        ("integers", "int8", "its layers multiply 8-bit integers, which their weights in `weights.bin` are."),
    ):
        assert json.loads((tmp_path / name / "model.json").read_text())["precision"] == precision
        assert sentence in (tmp_path / name / "README.md").read_text()


def test_what_has_no_integers(tmp_path: Path) -> None:
    wrong: Any = "int4"
    with pytest.raises(ValueError, match="precision: expected None or 'int8', got 'int4'"):
        gatewise.to_c(gatewise.GRU(2, 3), tmp_path, precision=wrong)
    with pytest.raises(ValueError, match=r"int8 is of weights of float32, got float64; call module\.float\(\)"):
        gatewise.to_c(gatewise.GRU(2, 3).double(), tmp_path, precision="int8")
    assert not list(tmp_path.iterdir())
