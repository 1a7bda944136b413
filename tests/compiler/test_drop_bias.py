import pickle

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from gatewise.cells import lookup, names
from gatewise.compiler import drop_groups, with_single_bias, without_bias
from gatewise.equations import Cell, cell, exp, log, sigmoid, tanh, topological, where
from gatewise.equations.expression import Parameter
from tests.combinations import examples
from tests.compiler.evaluation import evaluate, full, random_leaves
from tests.compiler.random_cells import cells


@pytest.mark.parametrize("name", names())
def test_equals_the_cell_with_zero_biases(name: str) -> None:
    whole, bare = lookup(name), without_bias(lookup(name))
    assert bare.groups == tuple(group for group in whole.groups if group not in ("b", "d"))
    assert (bare.gates, bare.states, bare.name) == (whole.gates, whole.states, whole.name)
    leaves = random_leaves(whole, seed=1)
    for leaf, value in leaves.items():
        if isinstance(leaf.attr, Parameter) and leaf.attr.group in ("b", "d"):
            value.data.zero_()
    for actual, wanted in zip(evaluate(bare.outputs, leaves), evaluate(whole.outputs, leaves), strict=True):
        assert torch.equal(actual, wanted)


@pytest.mark.parametrize("name", names())
def test_has_its_own_text(name: str) -> None:
    bare = without_bias(lookup(name))
    assert (bare.text != lookup(name).text) == bool({"b", "d"} & set(lookup(name).groups))
    assert Cell.from_text(bare.text) == pickle.loads(pickle.dumps(bare)) == bare
    assert "constant 0.0" not in without_bias(lookup("lstm")).text


@settings(deadline=None, max_examples=examples(100))
@given(cells(reductions=True), st.integers(0, 1000))
def test_any_cell_without_its_vectors(whole: Cell, seed: int) -> None:
    try:
        bare = drop_groups(whole, ["p"])
    except ValueError:
        reject()
    assert bare.groups == tuple(group for group in whole.groups if group != "p")
    leaves = random_leaves(whole, seed)
    for leaf, value in leaves.items():
        if isinstance(leaf.attr, Parameter) and leaf.attr.group == "p":
            value.data.zero_()
    for actual, wanted in zip(evaluate(bare.outputs, leaves), evaluate(whole.outputs, leaves), strict=True):
        torch.testing.assert_close(full(actual), full(wanted))


def test_a_cell_without_biases_is_returned_as_it_is() -> None:
    bare = without_bias(lookup("lstm"))
    assert without_bias(bare) is bare


def test_a_gate_of_biases_only_is_removed() -> None:
    @cell
    def leaky(x, h, /, W, R, b):
        keep = sigmoid(b.keep)
        return keep * h + (1 - keep) * tanh(W.n @ x + R.n @ h + b.n)

    bare = without_bias(leaky)
    assert bare.gates == ("n",)
    assert any(node.op == "constant" and node.attr == 0.5 for node in topological(bare.outputs))
    assert Cell.from_text(bare.text) == bare


def test_a_condition_on_a_bias_is_decided() -> None:
    @cell
    def choosing(x, h, /, W, b):
        return where(b > 0, h, W @ x + b)

    assert without_bias(choosing).outputs[0].op == "matmul"


def test_raises_for_a_group_that_is_more_than_a_bias() -> None:
    @cell
    def scaled(x, h, /, W, R, b):
        return tanh(b * (W @ x) + R @ h)

    with pytest.raises(ValueError, match=r"without b the parameter W has no effect.*bias=True"):
        without_bias(scaled)


def test_raises_for_a_matrix() -> None:
    @cell
    def named_so(x, h, /, W, d):
        return tanh(W @ x + d @ h)

    with pytest.raises(ValueError, match=r"named_so: group d is a matrix.*another name"):
        without_bias(named_so)


def test_raises_for_non_finite_results() -> None:
    @cell
    def divided(x, h, /, W, b):
        return (W @ x) / b + h

    @cell
    def logarithm(x, h, /, W, b):
        return W @ x + h * log(b)

    @cell
    def product(x, h, /, W, R, b):
        return W @ x + h * (R @ exp(b))

    for broken, why in ((divided, "divides by"), (logarithm, "logarithm of"), (product, "multiplies a matrix by")):
        with pytest.raises(ValueError, match=rf"cell {broken.name} .*{why} a constant.*bias=True"):
            without_bias(broken)


def test_raises_for_an_unknown_group() -> None:
    with pytest.raises(ValueError, match="cell lstm has no parameter group 'q'; it has W, R, b, d"):
        drop_groups(lookup("lstm"), ["q"])


@pytest.mark.parametrize("name", names())
def test_a_single_bias_for_each_sum(name: str) -> None:
    whole, single = lookup(name), with_single_bias(lookup(name))
    kept = {"gru_cudnn": ("n",)}.get(name, ())
    assert (single.gates_of("d") if "d" in single.groups else ()) == kept
    assert [group for group in single.groups if group != "d"] == [group for group in whole.groups if group != "d"]
    assert (single.gates, single.states, single.name) == (whole.gates, whole.states, whole.name)
    leaves = random_leaves(whole, seed=1)
    blocks = {leaf.attr: value for leaf, value in leaves.items() if isinstance(leaf.attr, Parameter)}
    for block, value in blocks.items():
        if block.group == "d" and block.gate not in kept:
            value.data.zero_()
    for actual, wanted in zip(evaluate(single.outputs, leaves), evaluate(whole.outputs, leaves), strict=True):
        assert torch.equal(actual, wanted)
    assert with_single_bias(single) is single


def test_a_second_bias_that_is_used_elsewhere_is_kept() -> None:
    @cell
    def own(x, h, /, W, R, b, d):
        r = sigmoid(W.r @ x + b.r + R.r @ h + d.r)
        n = tanh(W.n @ x + b.n + (R.n @ h + d.n))
        return r * n + d.r * h

    assert with_single_bias(own).gates_of("d") == ("r",)
    assert with_single_bias(without_bias(lookup("lstm"))) == without_bias(lookup("lstm"))
