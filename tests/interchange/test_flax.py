"""Weights of Flax's cells; beside Flax itself where it is installed."""

from typing import Any

import numpy as np
import pytest
import torch

import gatewise

CELLS = ("LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell")
# Of the cells without Flax: what they compute, from their own layout of weights, written from their equations.
SIZES = {"OptimizedLSTMCell": 4, "GRUCell": 3, "SimpleCell": 1}


def dense(gates: int, with_bias: str, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return random.normal(0, 0.5, shape).astype("float32")

    tree: dict[str, Any] = {"dense_i": {"kernel": drawn(3, 4 * gates)}, "dense_h": {"kernel": drawn(4, 4 * gates)}}
    tree[with_bias]["bias"] = drawn(4 * gates)
    return tree


TREES = {
    "OptimizedLSTMCell": dense(4, "dense_h"),
    "GRUCell": dense(3, "dense_i"),
    "SimpleCell": dense(1, "dense_i"),
}
# Flax's LSTMCell has a layer for each gate.
TREES["LSTMCell"] = {
    source + gate + "_" * (source + gate == "if"): {
        name: np.split(value, 4, -1)[index] for name, value in TREES["OptimizedLSTMCell"][f"dense_{source}"].items()
    }
    for source in "ih"
    for index, gate in enumerate("ifgo")
}


def divided(name: str, gates: str, biased: tuple[str, ...]) -> dict[str, Any]:
    """The same weights in the layers of linen, one for each gate."""
    dense = TREES[name]
    found: dict[str, Any] = {}
    for source in "ih":
        kernels = np.split(dense[f"dense_{source}"]["kernel"], len(gates) or 1, -1)
        found |= {source + gate: {"kernel": kernel} for gate, kernel in zip(gates or [""], kernels, strict=True)}
    (bias,) = (layer["bias"] for layer in dense.values() if "bias" in layer)
    for layer, part in zip(biased, np.split(bias, len(biased)), strict=True):
        found[layer]["bias"] = part
    return found


LINEN = {
    "OptimizedLSTMCell": divided("OptimizedLSTMCell", "ifgo", ("hi", "hf", "hg", "ho")),
    "GRUCell": divided("GRUCell", "rzn", ("ir", "iz", "in")),
    "SimpleCell": divided("SimpleCell", "", ("i",)),
}
LINEN["GRUCell"]["hn"]["bias"] = np.float32([0.5, -1, 0.25, 2])  # which the cell of nnx does not have


def step(
    name: str, tree: dict[str, Any], x: np.ndarray, h: np.ndarray, c: np.ndarray, of_candidate: Any = 0
) -> tuple[np.ndarray, np.ndarray]:
    """One step, from the equations of the documentation of `flax.nnx` and `flax.linen`."""
    of_x = x @ tree["dense_i"]["kernel"] + tree["dense_i"].get("bias", 0)
    of_h = h @ tree["dense_h"]["kernel"] + tree["dense_h"].get("bias", 0)
    if name == "SimpleCell":
        return np.tanh(of_x + of_h), c
    parts = list(zip(np.split(of_x, SIZES[name], -1), np.split(of_h, SIZES[name], -1), strict=True))
    if name == "GRUCell":
        r, z = (1 / (1 + np.exp(-a - b)) for a, b in parts[:2])
        return (1 - z) * np.tanh(parts[2][0] + r * (parts[2][1] + of_candidate)) + z * h, c
    i, f, g, o = (a + b for a, b in parts)
    i, f, o = (1 / (1 + np.exp(-one)) for one in (i, f, o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


@pytest.mark.parametrize("api", ["nnx", "linen"])
@pytest.mark.parametrize("name", SIZES)
def test_outputs_are_those_of_the_equations(name: str, api: str):
    tree = TREES[name] if api == "nnx" else LINEN[name]
    layer = gatewise.from_flax(tree)[""]
    of_candidate = tree.get("hn", {}).get("bias", 0)
    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32")
    h, c = np.zeros((2, 2, 4), "float32")
    expected: list[np.ndarray] = []
    for t in range(5):
        h, c = step(name, TREES[name], x[:, t], h, c, of_candidate)
        expected.append(h)
    torch.testing.assert_close(layer(torch.from_numpy(x))[0], torch.from_numpy(np.stack(expected, 1)).float())


def test_the_cell_with_a_layer_for_each_gate():
    found, expected = (gatewise.from_flax(TREES[name])[""].state_dict() for name in ("LSTMCell", "OptimizedLSTMCell"))
    assert all(torch.equal(weight, expected[name]) for name, weight in found.items())


@pytest.mark.parametrize("api", ["nnx", "linen"])
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("both", [False, True])
def test_round_trips(name: str, both: bool, api: Any):
    tree: dict[str, Any] = {"cell": TREES[name] if api == "nnx" else LINEN[name]}
    if both:
        other = {layer: {key: 2 * value for key, value in arrays.items()} for layer, arrays in tree["cell"].items()}
        tree = {"forward_rnn": tree, "backward_rnn": {"cell": other}}
    layer = gatewise.from_flax({"encoder": {"rnn": tree}, "head": {"kernel": np.ones((4, 2))}})["encoder.rnn"]
    assert layer.bidirectional == both
    (back,) = gatewise.to_flax(layer, api=api)
    _check_equal(back, tree)


def _check_equal(found: Any, expected: Any) -> None:
    if isinstance(expected, np.ndarray):
        assert np.array_equal(found, expected)
        return
    assert found.keys() == expected.keys()
    for key, part in expected.items():
        _check_equal(found[key], part)


@pytest.mark.parametrize("layer", [gatewise.LSTM(3, 4, 2), gatewise.RNN(3, 4), gatewise.BiLSTM(3, 4)], ids=str)
def test_two_biases_become_their_sum(layer: Any):
    trees = gatewise.to_flax(layer)
    assert len(trees) == layer.num_layers
    x = output = torch.randn(2, 5, 3)
    for tree in trees:
        output, _ = gatewise.from_flax(tree)[""](output)
    torch.testing.assert_close(output, layer(x.transpose(0, 1))[0].transpose(0, 1))


def test_what_flax_does_not_have():
    for layer, message in {
        gatewise.GRU(3, 4, variant="cho2014"): "to_flax: Flax does not have its cell, gru_cho2014",
        gatewise.GRU(3, 4, init="torch"): "to_flax: Flax's GRUCell of nnx has no recurrent bias of the candidate",
        gatewise.LSTM(3, 4, bias=False): "to_flax: Flax does not have its cell, lstm",
    }.items():
        with pytest.raises(ValueError, match=f"^{message}"):
            gatewise.to_flax(layer)
    with pytest.raises(ValueError, match=r"^api: expected 'nnx' or 'linen', got 'haiku'$"):
        gatewise.to_flax(gatewise.LSTM(3, 4), api="haiku")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^to_flax: expected a recurrent layer of gatewise, got LSTM$"):
        gatewise.to_flax(torch.nn.LSTM(3, 4))  # pyright: ignore[reportArgumentType]


def without(tree: dict[str, Any], layer: str, name: str, value: Any = None) -> dict[str, Any]:
    changed = {**tree, layer: {key: array for key, array in tree[layer].items() if key != name}}
    if value is not None:
        changed[layer][name] = value
    return changed


LSTM = TREES["OptimizedLSTMCell"]
MALFORMED: dict[str, tuple[Any, str]] = {
    "no cell": ({"head": {"kernel": np.ones((2, 2))}}, "tree: no recurrent cell in it; expected dense_i and dense_h"),
    "no bias": (without(LSTM, "dense_h", "bias"), "tree: dense_h.bias: expected an array of 1 dimensions, got nothing"),
    "text": (without(LSTM, "dense_h", "bias", "b"), r"tree: dense_h.bias: expected an array of 1 .*, got an array of"),
    "rank": (
        {"a": {"cell": without(LSTM, "dense_i", "kernel", np.ones(3, "f"))}},
        r"a: dense_i.kernel: expected an array of 2 dimensions, got an array of shape \(3,\)",
    ),
    "gates": (without(LSTM, "dense_h", "kernel", np.ones((4, 8), "f")), r"tree: dense_h: expected a kernel \(H, H\), "),
    "width": (
        without(LSTM, "dense_i", "kernel", np.ones((3, 12), "f")),
        r"tree: expected kernels \(I, 4·H\) and \(H, 4·H\) and a bias \(4·H,\), got \(3, 12\), \(4, 16\), \(16,\)",
    ),
    "integers": (without(LSTM, "dense_i", "kernel", np.ones((3, 16), "i")), r"tree: dense_i.kernel: expected one of"),
    "types": (without(LSTM, "dense_i", "kernel", np.ones((3, 16))), r"tree: expected one type, got torch.float64, "),
    "candidate": (
        without(LINEN["GRUCell"], "hn", "bias", np.ones(3, "f")),
        r"tree: hn.bias: expected shape \(H=4,\), g",
    ),
    "no kernel of a gate": (without(LINEN["GRUCell"], "hz", "kernel"), "tree: hz.kernel: expected an array of 2 dim"),
    "layers called i and h": ({"i": {}, "h": {}, "o": {}}, "tree: no recurrent cell in it"),
    "directions": (
        {"forward_rnn": {"cell": LSTM}, "backward_rnn": {"cell": TREES["GRUCell"]}},
        "tree: backward_rnn: expected a cell and sizes as of forward_rnn",
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_trees_are_one_clear_error(kind: str):
    tree, message = MALFORMED[kind]
    with pytest.raises(ValueError, match=f"^{message}"):
        gatewise.from_flax(tree)


def test_what_is_not_a_tree():
    wrong: Any
    for wrong in (5, None, [LSTM], torch.ones(2)):
        with pytest.raises(TypeError, match=r"^tree: expected nested dictionaries of arrays, got "):
            gatewise.from_flax(wrong)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("both", [False, True])
def test_beside_flax(name: str, both: bool):
    nnx = pytest.importorskip("flax.nnx")

    def rnn(seed: int) -> Any:
        generator = nnx.Rngs(seed)
        made = nnx.RNN(getattr(nnx, name)(3, 4, rngs=generator, bias_init=nnx.initializers.normal()), rngs=generator)
        return made

    theirs = nnx.Bidirectional(rnn(0), rnn(1), rngs=nnx.Rngs(2)) if both else rnn(0)
    tree = nnx.to_pure_dict(nnx.state(theirs, nnx.Param))
    layer = gatewise.from_flax(tree)[""]
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    output, _ = layer(torch.from_numpy(x))
    torch.testing.assert_close(output, torch.tensor(np.asarray(theirs(x))), rtol=1e-5, atol=1e-6)
    if name != "LSTMCell":  # which to_flax writes as the optimised one
        zeros = nnx.state(theirs, nnx.Param)
        (back,) = gatewise.to_flax(layer)
        nnx.replace_by_pure_dict(zeros, back)
        nnx.update(theirs, zeros)
        torch.testing.assert_close(torch.tensor(np.asarray(theirs(x))), output, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("both", [False, True])
def test_beside_linen(name: str, both: bool):
    linen, jax = pytest.importorskip("flax.linen"), pytest.importorskip("jax")

    def rnn() -> Any:
        return linen.RNN(getattr(linen, name)(4, bias_init=linen.initializers.normal()))

    theirs = linen.Bidirectional(rnn(), rnn()) if both else rnn()
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    variables = theirs.init(jax.random.key(0), x)
    ((path, layer),) = gatewise.from_flax(variables).items()
    assert path.startswith("params")
    output, _ = layer(torch.from_numpy(x))
    torch.testing.assert_close(output, torch.tensor(np.asarray(theirs.apply(variables, x))), rtol=1e-5, atol=1e-6)
    (back,) = gatewise.to_flax(layer, api="linen")
    _check_equal(back, jax.tree.map(np.asarray, variables["params"]))
