"""Layers and stacks as libraries of C: what they compute, in one call, by chunks and step by step."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gatewise
from gatewise import runtime
from tests.agreement import assert_agrees
from tests.interchange.c.exported import WIDTH, both_directions, compiler, exported, streamed

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")

STEPS, ROWS = 11, 3


def arguments(seed: int = 0) -> dict[str, Tensor]:
    """Ragged lengths, resets at valid and skipped steps, steps that are skipped at both ends and in between."""
    draw = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(STEPS, ROWS, WIDTH, generator=draw, dtype=torch.float64),
        "lengths": torch.tensor([STEPS, 0, 6]),
        "reset": torch.rand(STEPS, ROWS, generator=draw) < 0.25,
        "mask": torch.rand(STEPS, ROWS, generator=draw) < 0.7,
    }


def results(output: Tensor, states: Any) -> dict[str, Tensor]:
    flat = [one for of_layer in states for one in (of_layer if isinstance(of_layer, tuple) else (of_layer,))]
    return {"output": output, **{f"state {at}": one for at, one in enumerate(flat)}}


def by_equations(module: gatewise.Stack, given: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """What the equations give in plain operations of torch."""
    reference = copy.deepcopy(module).to(dtype)
    for layer in reference:
        layer.backend = "reference"
    return results(*reference(given["x"].to(dtype), **options(given)))


def options(given: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: one for name, one in given.items() if name != "x"}


def of_model(module: gatewise.Stack, model: runtime.Model, output: np.ndarray) -> dict[str, Tensor]:
    """Output and state in the form of the module's."""
    state, found, at = model.state, [], 0
    assert state is not None
    for layer in module:
        of_layer = state[at : at + layer.num_layers]
        found.append(
            tuple(torch.cat([torch.from_numpy(one) for one in states]) for states in zip(*of_layer, strict=True))
        )
        at += layer.num_layers
    return results(torch.from_numpy(output), found)


def as_arrays(given: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: one.numpy() for name, one in options(given).items()}


@pytest.mark.parametrize("make", [streamed, both_directions])
@pytest.mark.parametrize("left_out", [(), ("mask",), ("lengths", "reset", "mask")], ids=["all", "no mask", "plain"])
def test_outputs_and_states_agree(make: Callable[[], gatewise.Stack], left_out: tuple[str, ...]) -> None:
    module, folder = exported(make)
    dtype = module[0].all_weights[0][0].dtype
    given = {name: one for name, one in arguments().items() if name not in left_out}
    given["x"] = given["x"].to(dtype)
    model = runtime.load(folder, max_batch=ROWS, chunk=STEPS)
    output = model.run(given["x"].numpy(), **as_arrays(given))
    reference, plain = by_equations(module, given, torch.float64), by_equations(module, given, dtype)
    assert_agrees(of_model(module, model, output), reference, plain, dtype)


def test_chunks_and_steps_continue() -> None:
    """In chunks, divided by the caller or by the library, and step by step: what the whole sequence gives."""
    module, folder = exported(streamed)
    given = arguments(1)
    given["x"] = given["x"].float()
    arrays = {"numbers": given["x"].numpy(), **as_arrays(given)}
    reference, plain = by_equations(module, given, torch.float64), by_equations(module, given, torch.float32)
    divided = runtime.load(folder, max_batch=ROWS, chunk=4)
    assert_agrees(of_model(module, divided, divided.run(**arrays)), reference, plain, torch.float32)
    by_caller = runtime.load(folder, max_batch=ROWS, chunk=STEPS)
    outputs: list[np.ndarray] = []
    for first in (0, 3, 4, 9):
        part = slice(first, {0: 3, 3: 4, 4: 9, 9: STEPS}[first])
        steps = {name: one[part] for name, one in arrays.items() if name != "lengths"}
        lengths = (arrays["lengths"] - first).clip(0, len(steps["numbers"]))
        outputs.append(by_caller.run(**steps, lengths=lengths))
    assert_agrees(of_model(module, by_caller, np.concatenate(outputs)), reference, plain, torch.float32)
    steps = {"x": given["x"]}
    by_caller.reset()
    stepped = np.stack([by_caller.step(x_t) for x_t in arrays["numbers"]])
    reference, plain = by_equations(module, steps, torch.float64), by_equations(module, steps, torch.float32)
    assert_agrees(of_model(module, by_caller, stepped), reference, plain, torch.float32)


def test_states_are_set_and_got() -> None:
    _, folder = exported(streamed)
    x = arguments()["x"].float().numpy()
    first, second = (runtime.load(folder, max_batch=ROWS, chunk=STEPS) for _ in range(2))
    assert first.state is None
    first.run(x)
    second.state = first.state
    np.testing.assert_array_equal(second.run(x), first.run(x))
    for one, other in zip(first.state or [], second.state or [], strict=True):
        for of_first, of_second in zip(one, other, strict=True):
            np.testing.assert_array_equal(of_first, of_second)
    first.reset()
    assert not np.array_equal(first.run(x), second.run(x))


def test_directions_from_the_end_begin_anew() -> None:
    """By chunks: the state of the forward direction goes on, that of the other is zero at the end of each chunk."""
    module, folder = exported(both_directions)
    x = arguments()["x"]
    model = runtime.load(folder, max_batch=ROWS, chunk=6)
    model.run(x[:6].numpy())
    output = model.run(x[6:].numpy())
    _, states = module(x[:6])
    kept = [
        [one * torch.tensor([not reads for reads in layer._reads_from_end])[:, None, None] for one in state]
        for layer, state in zip(module, ((s if isinstance(s, tuple) else (s,)) for s in states), strict=True)
    ]
    expected, _ = module(x[6:], [tuple(one) if len(one) > 1 else one[0] for one in kept])
    np.testing.assert_allclose(output, expected.numpy(), rtol=1e-12, atol=1e-13)


def test_bad_calls_are_named() -> None:
    _, folder = exported(streamed)
    with pytest.raises(ValueError, match="max_batch: expected 1 to 1048576"):
        runtime.load(folder, max_batch=0)
    with pytest.raises(ValueError, match="chunk: expected 1 to 16777216 steps"):
        runtime.load(folder, chunk=1 << 40)
    model = runtime.load(folder, max_batch=2, chunk=4)
    x = np.zeros((3, 2, WIDTH), np.float32)
    for message, given in {
        "rows: expected 1 to 2, got 3": {"numbers": np.zeros((1, 3, WIDTH))},
        "numbers: expected .T, B, 5. or .T, 5., got .3, 2, 4.": {"numbers": x[..., :4]},
        "lengths: expected 0 to 3, the number of steps, got 4 of row 1": {"numbers": x, "lengths": [3, 4]},
        "lengths: expected .2,., got .1,.": {"numbers": x, "lengths": [3]},
        "tokens: this model reads none": {"numbers": x, "tokens": [[0]]},
        "steps: expected 1 to 1099511627776, got 0": {"numbers": x[:0]},
    }.items():
        with pytest.raises(ValueError, match=message):
            model.run(**given)
    model.run(x)
    with pytest.raises(ValueError, match="rows: expected 2, those of the state, got 1; reset the instance"):
        model.run(x[:, :1])
    model.close()
    with pytest.raises(ValueError, match="the model is closed"):
        model.run(x)


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="module: expected a layer or a Stack, got Linear"):
        gatewise.to_c(torch.nn.Linear(2, 2), tmp_path)
    with pytest.raises(ValueError, match="merge=None returns a pair"):
        gatewise.to_c(gatewise.BiLSTM(2, 2, merge=None), tmp_path)
    with pytest.raises(ValueError, match=r"expected weights of float32 or float64, got torch\.bfloat16"):
        gatewise.to_c(gatewise.LSTM(2, 2).bfloat16(), tmp_path)
    with pytest.raises(ValueError, match="name: expected a name in C, such as model, got '2 models'"):
        gatewise.to_c(gatewise.LSTM(2, 2), tmp_path, name="2 models")
    with pytest.raises(ValueError, match="name: engine is the name of a file of the engine; choose another"):
        gatewise.to_c(gatewise.LSTM(2, 2), tmp_path, name="engine")
    assert not list(tmp_path.iterdir())
