"""The layers with torch's names are drop-ins for torch.nn's: same weights, same numbers, same interface."""

import copy
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

import gatewise
from tests.agreement import assert_agrees, results
from tests.combinations import combinations
from tests.kernels.engine import needs_engine

PAIRS: dict[str, tuple[type[nn.Module], type[gatewise.Recurrent], dict[str, Any]]] = {
    "LSTM": (nn.LSTM, gatewise.LSTM, {}),
    "GRU": (nn.GRU, gatewise.GRU, {}),
    "RNN tanh": (nn.RNN, gatewise.RNN, {"nonlinearity": "tanh"}),
    "RNN relu": (nn.RNN, gatewise.RNN, {"nonlinearity": "relu"}),
}
STRUCTURES = [
    {"num_layers": layers, "bias": bias, "bidirectional": bidirectional, "batch_first": batch_first}
    for layers, bias, bidirectional, batch_first in itertools.product(
        (1, 2), (True, False), (False, True), (False, True)
    )
]
pairs = pytest.mark.parametrize("pair", PAIRS)


def both(pair: str, seed: int = 0, **options: Any) -> tuple[nn.Module, gatewise.Recurrent]:
    """torch's layer and ours, each made after the same seed."""
    theirs, ours, fixed = PAIRS[pair]
    torch.manual_seed(seed)
    expected = theirs(3, 4, **fixed, **options)
    torch.manual_seed(seed)
    return expected, ours(3, 4, **fixed, **options)


def tensors_of(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@pairs
@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda options: "-".join(map(str, options.values())))
def test_same_names_and_the_same_initial_weights_for_a_seed(pair: str, structure: dict[str, Any]):
    expected, layer = both(pair, **structure)
    torch.manual_seed(0)
    theirs, _, fixed = PAIRS[pair]
    theirs(3, 4, **fixed, **structure)
    after = torch.rand(1)
    torch.manual_seed(0)
    PAIRS[pair][1](3, 4, **fixed, **structure)
    assert torch.equal(torch.rand(1), after), "the random state after construction differs"
    assert list(layer.state_dict()) == list(expected.state_dict())
    for name, tensor in expected.state_dict().items():
        assert torch.equal(layer.state_dict()[name], tensor), name
    assert [[parameter.shape for parameter in group] for group in layer.all_weights] == [
        [parameter.shape for parameter in group] for group in expected.all_weights
    ]
    for ours, group in zip(layer.all_weights, expected.all_weights, strict=True):
        for parameter, other in zip(ours, group, strict=True):
            assert isinstance(parameter, nn.Parameter)
            assert torch.equal(parameter, other)
    assert layer.flatten_parameters() is None


@pairs
def test_reset_parameters_draws_as_torch_does(pair: str):
    expected, layer = both(pair)
    for module in (expected, layer):
        torch.manual_seed(9)
        module.reset_parameters()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(layer.state_dict()[name], tensor), name


@combinations(
    {
        "pair": PAIRS,
        "structure": STRUCTURES,
        "backend": ["auto", "torch", "reference"],
        "batched": [True, False],
        "with_state": [False, True],
        "dtype": [torch.float32, torch.float64],
    }
)
def test_same_numbers_at_equal_weights(
    pair: str, structure: dict[str, Any], backend: str, batched: bool, with_state: bool, dtype: torch.dtype
):
    theirs, layer = both(pair, **structure, dtype=torch.float64)
    theirs, layer = theirs.to(dtype), layer.to(dtype)
    layer.backend = backend
    x = torch.randn((6, 5, 3) if batched else (6, 3), dtype=torch.float64).to(dtype)
    rows = structure["num_layers"] * (2 if structure["bidirectional"] else 1)
    batch = (x.shape[0] if structure["batch_first"] else x.shape[1],) if batched else ()
    count = 2 if pair == "LSTM" else 1
    initial = tuple(torch.randn((rows, *batch, 4), dtype=torch.float64).to(dtype) for _ in range(count))
    upstream: list[Tensor] = []

    def run(module: nn.Module, to: torch.dtype) -> dict[str, Tensor]:
        module = copy.deepcopy(module).to(to)
        leaves = {"x": x.to(to, copy=True).requires_grad_()}
        leaves |= {
            f"hx {index}": state.to(to, copy=True).requires_grad_(with_state) for index, state in enumerate(initial)
        }
        states = tuple(leaves[f"hx {index}"] for index in range(count))
        hx = (states if count > 1 else states[0]) if with_state else None
        output, state = module(leaves["x"], hx)
        finals = tensors_of(state)
        if not upstream:
            upstream.extend(torch.randn_like(value) for value in (output, *finals))
        return results(
            output, finals, [above.to(to) for above in upstream], {**leaves, **dict(module.named_parameters())}
        )

    reference = run(theirs, torch.float64)
    assert_agrees(run(layer, dtype), reference, run(theirs, dtype), dtype)


@pairs
@pytest.mark.parametrize("structure", [{"bidirectional": True, "num_layers": 2}, {"bias": False}], ids=str)
def test_load_state_dict_both_ways(pair: str, structure: dict[str, Any]):
    expected, _ = both(pair, seed=1, **structure)
    _, layer = both(pair, seed=2, **structure)
    x = torch.randn(5, 2, 3)
    layer.load_state_dict(expected.state_dict())
    torch.testing.assert_close(layer(x)[0], expected(x)[0])
    other, _ = both(pair, seed=3, **structure)
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(x)[0], layer(x)[0])


@pairs
def test_arguments_in_torchs_positions(pair: str):
    theirs, ours, fixed = PAIRS[pair]
    order: list[Any] = [3, 4, 2, *fixed.values(), False, True, 0.25, True, 0, None, torch.float64]
    expected, layer = theirs(*order), ours(*order)
    assert {name: tensor.shape for name, tensor in layer.state_dict().items()} == {
        name: tensor.shape for name, tensor in expected.state_dict().items()
    }
    sizes = ("input_size", "hidden_size", "num_layers", "proj_size")
    for name in (*sizes, "bias", "batch_first", "dropout", "bidirectional"):
        assert getattr(layer, name) == getattr(expected, name), name
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    assert layer(x)[0].shape == expected(x)[0].shape
    assert layer(input=x, hx=None)[0].dtype == torch.float64


@pairs
def test_the_same_dropout_for_a_seed(pair: str):
    options: dict[str, Any] = {"num_layers": 3, "dropout": 0.4, "bidirectional": True}
    expected, layer = both(pair, **options)
    x = torch.randn(5, 2, 3)
    for training in (True, False):
        outputs = []
        for module in (expected, layer):
            module.train(training)
            torch.manual_seed(4)
            outputs.append(module(x)[0])
        torch.testing.assert_close(outputs[1], outputs[0])
        layer.train(training)
        again = [layer(x)[0] for _ in range(2)]
        assert torch.equal(*again) != training


@pairs
def test_dropout_of_one_drops_everything_between_layers(pair: str):
    expected, layer = both(pair, num_layers=2, dropout=1.0)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(layer(x)[0], expected(x)[0])


@pairs
def test_proj_size_raises_where_torch_does(pair: str):
    theirs, ours, fixed = PAIRS[pair]
    for size in (-1, 4) if pair == "LSTM" else (2,):
        with pytest.raises(ValueError, match="proj_size"):
            theirs(3, 4, **fixed, proj_size=size)
        wanted = "less than hidden_size=4" if pair == "LSTM" else r"expected 0, got 2; .*nn\.Linear"
        with pytest.raises(ValueError, match=f"proj_size: .*{wanted}"):
            ours(3, 4, **fixed, proj_size=size)


@pytest.mark.parametrize("pair", ["LSTM", "GRU", "RNN tanh"])
def test_bidirectional_names_are_the_layers_in_both_directions(pair: str):
    named = {"LSTM": gatewise.BiLSTM, "GRU": gatewise.BiGRU, "RNN tanh": gatewise.BiRNN}[pair]
    expected, _ = both(pair, bidirectional=True, num_layers=2)
    torch.manual_seed(0)
    layer = named(3, 4, 2)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(layer(x)[0], expected(x)[0])


def test_torchs_names_start_with_torchs_weights_and_recurrent_with_the_default():
    assert gatewise.LSTM(3, 4).init == "torch"
    assert gatewise.Recurrent("lstm", 3, 4).init == "default"
    assert gatewise.PeepholeLSTM(3, 4).init == "default"


@pytest.mark.parametrize(
    ("layer", "cell"),
    [
        (gatewise.RNN(3, 4), "rnn_tanh"),
        (gatewise.RNN(3, 4, nonlinearity="relu"), "rnn_relu"),
        (gatewise.RNN(3, 4, nonlinearity="sigmoid"), "rnn_sigmoid"),
        (gatewise.RNN(3, 4, nonlinearity="leaky_relu"), "rnn_leaky_relu"),
        (gatewise.BiRNN(3, 4, 1, "relu"), "rnn_relu"),
        (gatewise.LSTM(3, 4), "lstm"),
        (gatewise.BiLSTM(3, 4), "lstm"),
        (gatewise.GRU(3, 4), "gru_cudnn"),
        (gatewise.GRU(3, 4, variant="chung2014"), "gru_chung2014"),
        (gatewise.BiGRU(3, 4, variant="cho2014"), "gru_cho2014"),
        (gatewise.PeepholeLSTM(3, 4), "peephole_lstm"),
        (gatewise.PeepholeLSTM(3, 4, peephole="full"), "peephole_lstm_full"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_cell_of_each_name(layer: gatewise.Recurrent, cell: str):
    assert layer.cell.name == cell


@pairs
def test_no_warning_is_given_that_torch_does_not_give(pair: str):
    _, layer = both(pair)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(torch.randn(5, 2, 3))[0].sum().backward()


@pytest.mark.parametrize(
    "make",
    [
        lambda package: package.LSTM(3, 4, num_layers=2, bidirectional=True),
        lambda package: package.GRU(3, 4, bias=False),
        lambda package: package.RNN(3, 4, nonlinearity="relu"),
    ],
)
def test_what_code_for_torchs_layers_looks_at(make: Callable[[Any], Any]):
    ours, theirs = make(gatewise), make(torch.nn)
    assert ours.mode == theirs.mode
    assert ours._all_weights == theirs._all_weights
    assert ours._flat_weights_names == theirs._flat_weights_names
    assert [one.shape for one in ours._flat_weights] == [one.shape for one in theirs._flat_weights]


def test_dropout_may_be_a_number_of_numpy():
    assert gatewise.LSTM(3, 4, num_layers=2, dropout=numpy.float32(0.5)).dropout == 0.5


def test_symbolic_tracing_raises_in_one_line():
    with pytest.raises(TypeError, match=r"^input: torch.fx.symbolic_trace cannot follow LSTM, .*torch.export.export"):
        torch.fx.symbolic_trace(torch.nn.Sequential(gatewise.LSTM(3, 4)))


@needs_engine
def test_a_node_is_named_after_its_cell():
    layer = gatewise.PeepholeLSTM(3, 4)
    for _ in range(3):
        assert type(layer(torch.randn(5, 2, 3))[0].grad_fn).__name__ == "Fused_peephole_lstm_Backward"
