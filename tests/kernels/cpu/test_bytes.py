"""Products of 8-bit integers: what they compute, exactly, however a layer is called; where they raise."""

from typing import Any

import pytest
import torch
from torch import Tensor

import gatewise
from gatewise.compiler import plan
from gatewise.equations import Expr, Parameter, topological
from gatewise.kernels import PackedWeights
from gatewise.kernels.cpu import execution
from gatewise.kernels.evaluation import BlocksOf, evaluate
from tests.agreement import CELLS
from tests.kernels.calls import call_of, on_engine
from tests.kernels.engine import needs_engine

pytestmark = needs_engine


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Integers from -127 to 127 and the scale of each row, computed in float32."""
    rows = rows.float()
    largest = rows.abs().amax(-1, keepdim=True)
    inverse = torch.where(largest == 0, 0, 127 / largest)
    return (rows * inverse).round().double(), (largest / 127).double()


def product(matrix: Tensor, operand: Tensor) -> Tensor:
    """matrix @ operand in 8-bit integers; their sums are exact in float64."""
    (weights, scales), (values, scale) = quantised(matrix), quantised(operand)
    return (values @ weights.T) * scale * scales.T


def one_step(name: str) -> tuple[list[Tensor], list[Tensor], float]:
    """The states after one step: the engine's and expected; and what a value that rounds the other way may change."""
    cell = CELLS[name]
    call = call_of(cell, steps=1, batch=5, input_size=7, hidden_size=37, dtype=torch.float32, requires_grad=False)
    call.packed = PackedWeights("int8")
    _, finals = on_engine(call)
    blocks = BlocksOf(call)
    values: dict[Expr, Tensor] = {}
    doubt = 0.0
    for node in topological(plan(cell).outputs):
        if node.op == "input":
            values[node] = call.x[0].double()
        elif node.op == "state":
            values[node] = call.initial[cell.states.index(str(node.attr))][0].double()
        elif isinstance(node.attr, Parameter):
            values[node] = blocks[node.attr].double()
        elif node.op == "matmul":
            matrix, operand = (values[arg] for arg in node.args)
            values[node] = product(matrix, operand)
            if node.args[1].op not in ("input", "state"):  # a rounding in float32 may change which integer is nearest
                doubt = max(doubt, float(operand.abs().max() * matrix.abs().max()) / 127)
        else:
            evaluate(node, values, blocks)
    return list(finals), [values[node] for node in plan(cell).outputs], doubt


@pytest.mark.parametrize("name", CELLS)
def test_a_step_multiplies_the_nearest_integers(name: str):
    actual, expected, doubt = one_step(name)
    for one, other in zip(actual, expected, strict=True):
        scale = 1 + float(other.abs().max())
        assert float((one[0].double() - other).abs().max()) <= 2e-5 * scale + 2 * doubt


def layer_and_input(cell: str, **options: Any) -> tuple[gatewise.Recurrent, Tensor]:
    torch.manual_seed(0)
    return gatewise.Recurrent(cell, 7, 37, **options), torch.randn(9, 5, 7)


@pytest.mark.parametrize("cell", ["lstm", "gru_cho2014", "peephole_lstm_full", "slstm", "lstm_layer_norm"])
def test_sequences_ragged_rows_resets_and_stacks_are_single_steps_to_the_bit(cell: str):
    layer, x = layer_and_input(cell, num_layers=2)
    lengths, reset = [9, 3, 0, 7, 1], torch.rand(9, 5) < 0.3
    with torch.no_grad(), layer.frozen(precision="int8"):
        output, _ = layer(x, lengths=lengths, reset=reset)
        state = None
        for t in range(9):
            one, state = layer.step(x[t], state, reset=reset[t])
            for row in range(5):
                if t < lengths[row]:
                    assert torch.equal(output[t, row], one[row])
        streamed = torch.stack(list(layer.stream(iter(x), reset=iter(reset))))
        assert torch.equal(streamed, layer(x, reset=reset)[0])
    assert not torch.equal(layer(x, reset=reset)[0], streamed)  # outside of the block in float32


def test_both_directions_are_each_other_backwards():
    layer, x = layer_and_input("gru_chung2014", bidirectional=True)
    with torch.no_grad(), layer.frozen(precision="int8"):
        forward, backward = layer(x)[0].chunk(2, -1)
    other = gatewise.Recurrent("gru_chung2014", 7, 37, reverse=True)
    with torch.no_grad():
        for name, value in other.named_parameters():
            value.copy_(layer.get_parameter(f"{name}_reverse"))
        with other.frozen(precision="int8"):
            assert torch.equal(other(x)[0], backward)
    assert not torch.equal(forward, backward)


@pytest.mark.parametrize("cell", ["lstm", "gru_cho2014"])
def test_the_number_of_threads_changes_no_bit(cell: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(execution, "SHARE_SMALL", 1)
    before = torch.get_num_threads()
    found: list[Tensor] = []
    for rows in (5, 1):  # partitioned by rows, and by units
        layer, x = layer_and_input(cell)
        with torch.no_grad(), layer.frozen(precision="int8"):
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                layer.refresh()
                found.append(layer(x[:, :rows])[0])
        torch.set_num_threads(before)
        assert all(torch.equal(one, found[0]) for one in found)
        found.clear()


def test_weights_are_rounded_again_after_refresh():
    layer, x = layer_and_input("lstm")
    with torch.no_grad(), layer.frozen(precision="int8"):
        before = layer(x)[0]
        layer.get_parameter("weight_hh_l0").mul_(2)
        assert torch.equal(layer(x)[0], before)
        layer.refresh()
        assert not torch.equal(layer(x)[0], before)
        with layer.frozen():  # what is called inside may freeze the layer too
            inner = layer(x)[0]
        assert torch.equal(layer(x)[0], inner)


def test_values_that_are_not_finite_stay_in_their_row():
    layer, x = layer_and_input("lstm")
    x[4, 2, 3] = torch.inf
    with torch.no_grad(), layer.frozen(precision="int8"):
        output = layer(x)[0]
    assert output[4:, 2].isnan().any()
    assert output[:4].isfinite().all()
    assert output[:, [0, 1, 3, 4]].isfinite().all()


def test_where_it_cannot_be_it_says_why():
    layer, x = layer_and_input("lstm")
    wrong: Any = "int4"
    with pytest.raises(ValueError, match="precision: expected None, 'int8' or 'bf16', got 'int4'"):
        layer.frozen(precision=wrong).__enter__()
    with layer.frozen(), pytest.raises(ValueError, match="the layer is frozen with precision=None already, got 'int8'"):
        layer.frozen(precision="int8").__enter__()
    with layer.frozen(precision="int8"):
        with pytest.raises(ValueError, match="not cpu: products in int8 have no gradient; call the layer under"):
            layer(x)
        with torch.no_grad():
            assert layer.backend_for(x).name == "cpu"
            with pytest.raises(ValueError, match="expected plain calls in inference, got one inside of"):
                torch.func.vmap(lambda row: layer(row)[0])(x.unsqueeze(0))
    slow = gatewise.LSTM(7, 37, backend="reference")
    with (
        slow.frozen(precision="int8"),
        torch.no_grad(),
        pytest.raises(ValueError, match="no products of 8-bit integers"),
    ):
        slow(x)
    double = gatewise.LSTM(7, 37, dtype=torch.float64)
    with double.frozen(precision="int8"), torch.no_grad(), pytest.raises(ValueError, match="are of float32 tensors"):
        double(x.double())
