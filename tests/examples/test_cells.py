"""The gallery of published cells: each is its paper's equations, and runs on the fused kernels with the right numbers.

The transcriptions use nothing of gatewise: they take one row through time, each step as the paper has it.
"""

import ast
import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, sigmoid, tanh

import gatewise
from csrc.tests.build import compiler
from gatewise.equations import Cell
from gatewise.equations.load import load_cell
from gatewise.kernels.cpu import library
from tests.agreement import Results, assert_agrees, results

GALLERY = Path(__file__).parents[2] / "examples" / "cells"
CELLS: dict[str, Cell] = {path.stem: load_cell(f"{path}:{path.stem}") for path in sorted(GALLERY.glob("*.py"))}

Blocks = Mapping[str, Tensor]
State = tuple[Tensor, ...]


class Paper(NamedTuple):
    """A cell's step as published, and by group the gates whose blocks gatewise stacks, in order; "" for one block."""

    step: Callable[[Blocks, Tensor, State], State]
    groups: dict[str, str]


def affine(w: Blocks, gate: str, x: Tensor, h: Tensor) -> Tensor:
    """W [h, x] + b with the matrices side by side, as most papers have it."""
    both = torch.cat([w[f"R.{gate}"], w[f"W.{gate}"]], dim=1)
    return both @ torch.cat([h, x]) + w[f"b.{gate}"]


def minimal_gated_unit(w: Blocks, x: Tensor, state: State) -> State:
    (h,) = state
    forget = sigmoid(affine(w, "f", x, h))
    candidate = tanh(affine(w, "n", x, forget * h))
    return (h - forget * h + forget * candidate,)


def janet(w: Blocks, x: Tensor, state: State) -> State:
    beta = 1
    (c,) = state
    s = affine(w, "f", x, c)
    candidate = tanh(affine(w, "n", x, c))
    return (c / (1 + torch.exp(-s)) + candidate * (1 - sigmoid(s - beta)),)


def coupled_lstm(w: Blocks, x: Tensor, state: State) -> State:
    y, c = state
    block_input = tanh(affine(w, "g", x, y))
    admit = sigmoid(affine(w, "i", x, y) + w["p.i"] * c)
    forget = 1 - admit
    c = block_input * admit + c * forget
    output = sigmoid(affine(w, "o", x, y) + w["p.o"] * c)
    return tanh(c) * output, c


def ugrnn(w: Blocks, x: Tensor, state: State) -> State:
    (h,) = state
    update, candidate = sigmoid(affine(w, "g", x, h)), tanh(affine(w, "n", x, h))
    return (torch.lerp(candidate, h, update),)


def indrnn(w: Blocks, x: Tensor, state: State) -> State:
    (h,) = state
    return (torch.clamp(w["W"] @ x + torch.diag(w["u"]) @ h + w["b"], min=0),)


def hard_lstm(w: Blocks, x: Tensor, state: State) -> State:
    h, c = state
    i, f, o = (torch.clamp(affine(w, gate, x, h) / 4 + 0.5, 0, 1) for gate in "ifo")
    c = f * c + i * torch.nn.functional.hardtanh(affine(w, "g", x, h))
    return o * torch.nn.functional.hardtanh(c), c


def scrn(w: Blocks, x: Tensor, state: State) -> State:
    alpha = 0.95
    h, s = state
    s = (1 - alpha) * w["B"] @ x + alpha * s
    return sigmoid(w["P"] @ s + w["A"] @ x + w["R"] @ h), s


def nested_lstm(w: Blocks, x: Tensor, state: State) -> State:
    def inner(gate: str, x: Tensor, h: Tensor) -> Tensor:
        return affine(
            {f"W.{gate}": w[f"V.{gate}"], f"R.{gate}": w[f"U.{gate}"], f"b.{gate}": w[f"e.{gate}"]}, gate, x, h
        )

    h, c, inner_c = state
    inner_x = sigmoid(affine(w, "i", x, h)) * tanh(affine(w, "g", x, h))
    inner_h = sigmoid(affine(w, "f", x, h)) * c
    inner_c = sigmoid(inner("k", inner_x, inner_h)) * inner_c + sigmoid(inner("j", inner_x, inner_h)) * tanh(
        inner("n", inner_x, inner_h)
    )
    c = sigmoid(inner("q", inner_x, inner_h)) * tanh(inner_c)
    return sigmoid(affine(w, "o", x, h)) * tanh(c), c, inner_c


def cornn(w: Blocks, x: Tensor, state: State) -> State:
    step, gamma, epsilon = 0.05, 1.0, 1.0
    y, z = state
    driven = tanh(torch.cat([w["W"], w["Z"], w["V"]], dim=1) @ torch.cat([y, z, x]) + w["b"])
    z = z + step * driven - step * gamma * y - step * epsilon * z
    return y + step * z, z


def lem(w: Blocks, x: Tensor, state: State) -> State:
    def of(gate: str, h: Tensor) -> Tensor:
        return w[f"W.{gate}"] @ h + w[f"V.{gate}"] @ x + w[f"b.{gate}"]

    y, z = state
    step_of_z, step_of_y = sigmoid(of("slow", y)), sigmoid(of("fast", y))
    z = torch.lerp(z, tanh(of("z", y)), step_of_z)
    y = torch.lerp(y, tanh(of("y", z)), step_of_y)
    return y, z


PAPERS: dict[str, Paper] = {
    "minimal_gated_unit": Paper(minimal_gated_unit, dict.fromkeys("WRb", "f n")),
    "janet": Paper(janet, dict.fromkeys("WRb", "f n")),
    "coupled_lstm": Paper(coupled_lstm, {**dict.fromkeys("WRb", "i g o"), "p": "i o"}),
    "ugrnn": Paper(ugrnn, dict.fromkeys("WRb", "g n")),
    "indrnn": Paper(indrnn, dict.fromkeys("Wub", "")),
    "hard_lstm": Paper(hard_lstm, dict.fromkeys("WRb", "i f g o")),
    "scrn": Paper(scrn, dict.fromkeys("ABPR", "")),
    "nested_lstm": Paper(nested_lstm, {**dict.fromkeys("WRb", "i f g o"), **dict.fromkeys("VUe", "j k n q")}),
    "cornn": Paper(cornn, dict.fromkeys("VWZb", "")),
    "lem": Paper(lem, dict.fromkeys("VWb", "slow fast z y")),
}
# The layer's names for parameter groups.
STORED = {"W": "weight_ih", "R": "weight_hh", "b": "bias_ih"}


def blocks_of(name: str, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By block, ``W.f``, the tensors that a gatewise layer stacks."""
    blocks: dict[str, Tensor] = {}
    for group, gates in PAPERS[name].groups.items():
        # torch's names belong to what has torch's meaning: lem's W is a recurrent matrix.
        stored = next(one for one in (f"{STORED.get(group)}_l0", f"{group}_l0") if one in parameters)
        parts = parameters[stored].chunk(len(gates.split()) or 1)
        keys = [f"{group}.{gate}" for gate in gates.split()] or [group]
        blocks |= dict(zip(keys, parts, strict=True))
    return blocks


STEPS, ROWS, INPUTS, HIDDEN = 7, 3, 4, 19


def leaves_of(layer: gatewise.Recurrent, dtype: torch.dtype) -> dict[str, Tensor]:
    """x (T, B, I), the initial states and the weights, all to be differentiated by."""
    draw = torch.Generator().manual_seed(1)
    count = 2 if layer.bidirectional else 1
    tensors = {"x": torch.randn(STEPS, ROWS, INPUTS, generator=draw, dtype=torch.float64)}
    for state in layer.cell.states:
        tensors[f"initial {state}"] = torch.randn(count, ROWS, HIDDEN, generator=draw, dtype=torch.float64)
    tensors |= {name: tensor.detach() for name, tensor in layer.named_parameters()}
    return {name: tensor.to(dtype, copy=True).requires_grad_() for name, tensor in tensors.items()}


def layer_of(name: str, *, bidirectional: bool = False) -> gatewise.Recurrent:
    torch.manual_seed(0)
    layer = gatewise.Recurrent(
        CELLS[name], INPUTS, HIDDEN, bidirectional=bidirectional, init="torch", dtype=torch.float64
    )
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(3)  # so that every activation bends
    return layer


def upstream_of(values: tuple[Tensor, ...]) -> list[Tensor]:
    draw = torch.Generator().manual_seed(2)
    return [torch.randn(value.shape, generator=draw, dtype=torch.float64).to(value.dtype) for value in values]


def computed(layer: gatewise.Recurrent, backend: str, dtype: torch.dtype, **options: object) -> Results:
    """Output, final states and every gradient, on a backend."""
    layer = copy.deepcopy(layer).to(dtype)
    layer.backend = backend
    leaves = leaves_of(layer, dtype) | dict(layer.named_parameters())
    initial = tuple(leaves[f"initial {state}"] for state in layer.cell.states)
    output, final = layer(leaves["x"], initial if len(initial) > 1 else initial[0], **options)
    finals = final if isinstance(final, tuple) else (final,)
    return results(output, finals, upstream_of((output, *finals)), leaves)


def transcribed(name: str, layer: gatewise.Recurrent) -> Results:
    """The same by the paper's equations, row by row, in float64."""
    leaves = leaves_of(layer, torch.float64)
    blocks = blocks_of(name, leaves)
    rows: list[Tensor] = []
    ends: list[State] = []
    for row in range(ROWS):
        state = tuple(leaves[f"initial {one}"][0, row] for one in layer.cell.states)
        outputs: list[Tensor] = []
        for t in range(STEPS):
            state = PAPERS[name].step(blocks, leaves["x"][t, row], state)
            outputs.append(state[0])
        rows.append(torch.stack(outputs))
        ends.append(state)
    output = torch.stack(rows, dim=1)
    finals = tuple(torch.stack(parts).unsqueeze(0) for parts in zip(*ends, strict=True))
    return results(output, finals, upstream_of((output, *finals)), leaves)


def backends() -> list[str]:
    compiled = library.why_missing() is None and compiler() is not None
    return ["reference", *(["cpu"] if compiled else [])]


def test_there_are_eight_and_each_has_a_paper():
    assert len(CELLS) >= 8
    assert CELLS.keys() == PAPERS.keys()
    assert any(len(cell.states) == 3 for cell in CELLS.values())
    assert all("arXiv:" in cell.cite and cell.doc for cell in CELLS.values())


@pytest.mark.parametrize("name", CELLS)
def test_it_is_short(name: str):
    tree = ast.parse((GALLERY / f"{name}.py").read_text())
    (definition,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    assert definition.end_lineno is not None
    assert definition.end_lineno - definition.decorator_list[0].lineno + 1 <= 15


@pytest.mark.parametrize("backend", backends())
@pytest.mark.parametrize("name", CELLS)
def test_it_is_what_its_paper_says(name: str, backend: str):
    layer = layer_of(name)
    right = transcribed(name, layer)
    assert_agrees(computed(layer, backend, torch.float64), right, right, torch.float64)


@pytest.mark.skipif("cpu" not in backends(), reason="no compiled engine, or no C++ compiler here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_the_fused_kernel_computes_what_the_reference_does(name: str, dtype: torch.dtype):
    layer = layer_of(name, bidirectional=True)
    options = {
        "lengths": [STEPS, 0, 4],
        "reset": torch.rand(STEPS, ROWS, generator=torch.Generator().manual_seed(0)) < 0.3,
    }
    reference = computed(layer, "reference", torch.float64, **options)
    plain = computed(layer, "reference", dtype, **options)
    assert_agrees(computed(layer, "cpu", dtype, **options), reference, plain, dtype)
