"""The printed back-propagation, read back and computed, against torch's gradient of the step."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatewise.cells import lookup, names
from gatewise.compiler import without_bias
from gatewise.equations import Cell, Expr, cell, expm1, log1p, relu, sigmoid, tanh
from gatewise.equations.expression import Parameter
from gatewise.equations.mathematics import Equation
from gatewise.equations.notation import symbols
from gatewise.equations.style import UNICODE
from gatewise.explanations.backward_equations import BackwardEquations
from tests.combinations import examples
from tests.compiler.evaluation import evaluate, full, random_leaves, widths_of
from tests.compiler.random_cells import cells
from tests.equations.reading import Reader
from tests.equations.test_mathematics import by_symbol, compute

OUTPUTS = 2


def one_sequence(leaves: dict[Expr, Tensor]) -> dict[Expr, Tensor]:
    """The first row of the batch, so that sums over it have one term."""
    return {
        leaf: (value if leaf.op == "parameter" else value[:1]).detach().requires_grad_()
        for leaf, value in leaves.items()
    }


def expected(cell: Cell, leaves: dict[Expr, Tensor], read_out: Tensor, error: Tensor, carried: list[Tensor]):
    """torch's gradients of a loss that reads y = W_hy h and the states at t."""
    outputs = [full(output)[:1] for output in evaluate(cell.outputs, leaves)]
    loss = (outputs[0] @ read_out.T * error.T).sum()
    for output, gradient in zip(outputs, carried, strict=True):
        loss = loss + (output * gradient.T).sum()
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()), allow_unused=True), strict=True))


def expanded(line: Equation) -> list[Equation]:
    """A line for several gates as one line each: k stands for each of those after “k =”."""
    match = re.fullmatch(r"(.*),  k = (.*)", line.right)
    if not match:
        return [line]

    def put(text: str, gate: str) -> str:
        # W_xk, but W_x,keep: a gate of several letters is set off by a comma.
        comma = "," if len(gate) > 1 else ""
        return re.sub(r"_([a-z]*)k(?=[,\s]|$)", lambda found: f"_{found[1]}{comma * bool(found[1])}{gate}", text)

    return [Equation(put(line.left, gate), put(match[1], gate)) for gate in match[2].split(", ")]


def assert_backward_reads_right(cell: Cell, seed: int) -> None:
    leaves = one_sequence(random_leaves(cell, seed, scale=0.7))
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    widths = widths_of(cell)
    read_out, error = draw(OUTPUTS, widths[0]), draw(OUTPUTS, 1)
    carried = [draw(width, 1) for width in widths]
    wanted = expected(cell, leaves, read_out, error, carried)
    page = BackwardEquations(cell)
    with torch.no_grad():
        values = compute(cell, by_symbol(cell, leaves))
        values |= {"W_hy": read_out, "δy_t": error}
        values |= {f"ε{state}_t": gradient for state, gradient in zip(cell.states, carried, strict=True)}
        for left, right in (*page.inside, *page.leaving):
            assert left not in values, f"{left} is defined twice"
            values[left] = Reader(right, values).read()
        reductions: dict[str, Tensor] = {}
        for printed in page.parameters:
            for left, right in expanded(printed):
                assert left not in reductions, f"{left} is printed twice"
                reductions[left] = Reader(right.removeprefix("Σ_t "), values).read()
    known = symbols(cell)
    for leaf, gradient in wanted.items():
        target = leaves[leaf]
        if isinstance(leaf.attr, Parameter):
            actual = reductions[f"∂L/∂{UNICODE.symbol(known.parameters[leaf.attr])}"]
        elif leaf.op == "state":
            actual = values["ε" + UNICODE.symbol(known.past[str(leaf.attr)])]
        else:
            actual = values.get("δx_t", torch.zeros(1, dtype=torch.float64))
        shape = target.shape if target.ndim == 2 and leaf.op == "parameter" else (target.numel(), 1)
        gradient = torch.zeros_like(target) if gradient is None else gradient
        torch.testing.assert_close(actual.expand(shape), gradient.reshape(shape), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("bias", [True, False])
def test_built_in_cells_read_back(name: str, bias: bool) -> None:
    assert_backward_reads_right(lookup(name) if bias else without_bias(lookup(name)), seed=1)


@settings(deadline=None, max_examples=examples(100))
@given(cells(longest=7), st.integers(0, 1000))
def test_random_cells_read_back(cell: Cell, seed: int) -> None:
    assert_backward_reads_right(cell, seed)


def test_a_state_that_nothing_reads_gets_zero() -> None:
    @cell
    def forgetful(x, h, c, /, W, R):
        return W @ x, tanh(R @ h)

    lines = dict(BackwardEquations(forgetful).leaving)
    assert lines["εc_{t−1}"] == "0"
    assert_backward_reads_right(forgetful, seed=2)


def test_gates_that_agree_share_a_line() -> None:
    lines = dict(BackwardEquations(lookup("gru_cudnn")).parameters)
    assert lines["∂L/∂W_hk"] == "Σ_t δa_k,t h_{t−1}ᵀ,  k = r, z"
    assert lines["∂L/∂W_hn"] == "Σ_t (δa_n,t ⊙ r_t) h_{t−1}ᵀ"


def test_values_after_a_product_get_a_name() -> None:
    lines = dict(BackwardEquations(lookup("gru_chung2014")).inside)
    assert lines["δ(r_t ⊙ h_{t−1})"] == "W_hnᵀ δa_n,t"
    assert lines["δr_t"] == "δ(r_t ⊙ h_{t−1}) ⊙ h_{t−1}"


def test_gradients_with_a_name_are_not_taken_apart() -> None:
    """Though δa_i and δa_f share the factor δc."""
    lines = dict(BackwardEquations(lookup("peephole_lstm")).leaving)
    assert lines["εc_{t−1}"] == "δa_f,t ⊙ p_f + δc_t ⊙ f_t + δa_i,t ⊙ p_i"


def test_arguments_of_activations_are_printed_like_the_cell() -> None:
    @cell
    def shared(x, h, c, /, W, R):
        s = expm1(W.s @ x + R.s @ h)
        t = log1p(W.t @ x + R.t @ h)
        return tanh(h + c) * s * t, (h + c) * t

    arguments = BackwardEquations(shared).arguments
    assert [right for _, right in arguments] == ["exp(a_s,t) − 1", "ln(1 + a_t,t)"]
    assert len(BackwardEquations(shared, latex=True).arguments) == 2

    @cell
    def twice(x, h, c, /, W):
        return tanh(h + c), (h + c) * (W @ x)

    assert BackwardEquations(twice).arguments == [Equation("h_t", "tanh(a_t)")]


def test_brackets_are_announced() -> None:
    assert BackwardEquations(lookup("rnn_relu")).brackets
    assert BackwardEquations(lookup("rnn_relu"), latex=True).brackets
    assert not BackwardEquations(lookup("lstm"), latex=True).brackets


def test_gates_of_several_letters() -> None:
    @cell
    def worded(x, h, /, W, R, b):
        keep = sigmoid(W.keep @ x + R.keep @ h + b.keep)
        new = relu(W.new @ x + R.new @ (keep * h) + b.new)
        return keep * h + (1 - keep) * new

    assert_backward_reads_right(worded, seed=3)
