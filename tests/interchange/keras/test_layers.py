"""Layers and lists of weights, beside Keras 3 on the torch backend."""

import numpy as np
import pytest
import torch

import gatewise
from tests.combinations import ALL, combinations

# Keras itself calls NumPy so.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")

FORMS = {
    "rnn": ("SimpleRNN", {}),
    "rnn_relu": ("SimpleRNN", {"activation": "relu"}),
    "rnn_linear": ("SimpleRNN", {"activation": None}),
    "lstm": ("LSTM", {}),
    "lstm_hard": ("LSTM", {"recurrent_activation": "hard_sigmoid"}),
    "lstm_softsign": ("LSTM", {"activation": "softsign", "recurrent_activation": "softplus"}),
    "gru": ("GRU", {}),
    "gru_before": ("GRU", {"reset_after": False}),
    "gru_hard": ("GRU", {"recurrent_activation": "hard_sigmoid", "activation": "elu"}),
    "gru_before_leaky": ("GRU", {"reset_after": False, "activation": "leaky_relu"}),
}
# Cells that are not built in; `lstm_hard`, another one, is compiled.
NOT_BUILT_IN = {"rnn_linear", "lstm_softsign", "gru_hard", "gru_before_leaky"}
MASKS = {
    "none": None,
    "padding": [[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]],
    "leading": [[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]],
    "holes": [[1, 0, 1, 0, 1, 1], [0, 1, 1, 0, 0, 1], [1, 1, 0, 1, 1, 0]],
}


def built(keras, layer):
    """A layer with random weights, biases too."""
    layer.build((None, None, 3))
    generator = np.random.default_rng(7)
    weights = [generator.normal(0, 0.5, one.shape).astype("float32") for one in layer.get_weights()]
    weights[-1].flat[0] = -0.0
    layer.set_weights(weights)
    return layer


def of_keras(layer, x, mask, **options):
    with torch.no_grad():
        found = layer(x, mask=None if mask is None else torch.tensor(mask, dtype=torch.bool), **options)
    return [one.cpu() for one in found] if isinstance(found, (tuple, list)) else [found.cpu()]


def of_ours(layer, x, mask):
    with torch.no_grad():
        output, state = layer(x, mask=None if mask is None else torch.tensor(mask, dtype=torch.bool))
    outputs = list(output) if isinstance(output, tuple) else [output]
    states = list(state) if isinstance(state, tuple) else [state]
    return outputs, [direction for index in range(states[0].shape[0]) for direction in (one[index] for one in states)]


@combinations(
    {
        "form": FORMS,
        "mask": MASKS,
        "use_bias,go_backwards,zero": [(True, False, False), (False, True, True), (True, True, False)],
    }
)
def test_output_and_state_are_those_of_keras(keras, form, mask, use_bias, go_backwards, zero):
    class_name, options = FORMS[form]
    layer = built(
        keras,
        getattr(keras.layers, class_name)(
            4,
            use_bias=use_bias,
            go_backwards=go_backwards,
            zero_output_for_mask=zero,
            return_sequences=True,
            return_state=True,
            **options,
        ),
    )
    x = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(1))
    expected, *states = of_keras(layer, x, MASKS[mask])
    ours = gatewise.from_keras(layer)
    if form in NOT_BUILT_IN and not ALL:
        ours.backend = "reference"  # compiling each with and without biases takes long
    (output,), our_states = of_ours(ours, x, MASKS[mask])
    torch.testing.assert_close(output.flip(1) if go_backwards else output, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(our_states, states, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("form", ["rnn", "lstm", "gru", "gru_before", "lstm_hard"])
def test_both_directions_with_every_merge(keras, form, mask):
    class_name, options = FORMS[form]
    for merge in ("concat", "sum", "ave", "mul", None):
        inner = getattr(keras.layers, class_name)(4, return_sequences=True, return_state=True, **options)
        layer = built(keras, keras.layers.Bidirectional(inner, merge_mode=merge))
        x = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(1))
        expected = of_keras(layer, x, MASKS[mask])
        outputs, states = of_ours(gatewise.from_keras(layer), x, MASKS[mask])
        torch.testing.assert_close([*outputs, *states], expected, atol=1e-5, rtol=1e-5)


def test_what_keras_computes_is_a_built_in_cell_where_there_is_one(keras):
    cells = {
        form: gatewise.from_keras(built(keras, getattr(keras.layers, name)(4, **options))).cell.name
        for form, (name, options) in FORMS.items()
    }
    assert cells == {
        "rnn": "rnn_tanh",
        "rnn_relu": "rnn_relu",
        "rnn_linear": "keras_rnn_affine",
        "lstm": "lstm",
        "lstm_hard": "keras_lstm_hardsigmoid_tanh_tanh",
        "lstm_softsign": "keras_lstm_softplus_softsign_softsign",
        "gru": "gru_cudnn",
        "gru_before": "gru_cho2014",
        "gru_hard": "keras_gru_linear_before_reset_hardsigmoid_elu",
        "gru_before_leaky": "keras_gru_sigmoid_leakyrelu",
    }


def test_rnn_of_a_cell_is_the_layer_of_that_cell(keras):
    layer = built(keras, keras.layers.RNN(keras.layers.GRUCell(4, reset_after=False), return_sequences=True))
    x = torch.randn(3, 6, 3)
    ours = gatewise.from_keras(layer)
    assert isinstance(ours, gatewise.GRU)
    torch.testing.assert_close(of_ours(ours, x, None)[0], of_keras(layer, x, None), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_round_trip_bit_for_bit(keras, form, bidirectional):
    class_name, options = FORMS[form]
    for use_bias in (True, False):
        layer = getattr(keras.layers, class_name)(4, use_bias=use_bias, return_sequences=True, **options)
        layer = built(keras, keras.layers.Bidirectional(layer, merge_mode="ave") if bidirectional else layer)
        ours = gatewise.from_keras(layer)
        (there,) = gatewise.to_keras(ours)
        assert [one.tobytes() for one in there.weights] == [one.tobytes() for one in layer.get_weights()]
        back = keras.layers.deserialize(there.config)
        back.set_weights(there.weights)
        x = torch.randn(3, 6, 3)
        assert torch.equal(of_keras(back, x, None)[0], of_keras(layer, x, None)[0])
        again = gatewise.from_keras(there.config, there.weights)
        assert repr(again).replace("repeat", "zero") == repr(ours).replace("repeat", "zero")
        state = ours.state_dict()
        assert all(torch.equal(state[name], weight) for name, weight in again.state_dict().items())


@pytest.mark.parametrize(
    "ours",
    [
        gatewise.RNN(3, 4, nonlinearity="sigmoid"),
        gatewise.LSTM(3, 4, num_layers=2, bidirectional=True, merge=None),
        gatewise.LSTM(3, 4, bias="single", reverse=True, dtype=torch.float64),
        gatewise.GRU(3, 4, num_layers=2, bidirectional=True),
        gatewise.GRU(3, 4, bias="single"),
        gatewise.GRU(3, 4, bias=False),
        gatewise.GRU(3, 4, variant="cho2014", bidirectional=True, merge="mul"),
        gatewise.GRU(3, 4, variant="chung2014"),
        gatewise.GRU(3, 4, variant="chung2014", bias=False),
    ],
    ids=repr,
)
def test_our_layers_in_keras(keras, ours):
    found = gatewise.to_keras(ours)
    x = y = torch.randn(2, 5, 3, dtype=next(ours.parameters()).dtype)
    for index, one in enumerate(found):
        layer = keras.layers.deserialize(one.config)
        layer.set_weights(one.weights)
        y = of_keras(layer, y, None)
        y = y[0] if index < len(found) - 1 or ours.merge is not None else torch.cat(y, dim=-1)
    with torch.no_grad():
        output, _ = ours(x.transpose(0, 1))
    output = torch.cat(output, dim=-1) if isinstance(output, tuple) else output
    output = output.flip(0) if ours.reverse else output
    torch.testing.assert_close(y.transpose(0, 1), output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "layer", [gatewise.RNN(3, 4, bias="single"), gatewise.LSTM(3, 4), gatewise.GRU(3, 4)], ids=repr
)
def test_copies_do_not_change_with_the_layer(layer):
    (found,) = gatewise.to_keras(layer)
    before = [weight.copy() for weight in found.weights]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1)
    assert all(np.array_equal(*pair) for pair in zip(found.weights, before, strict=True))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (gatewise.PeepholeLSTM(3, 4), "to_keras: Keras does not have its cell, peephole_lstm"),
        (gatewise.LSTM(3, 4, dtype=torch.bfloat16), "to_keras: .*bfloat16"),
        (gatewise.RNN(3, 4, nonlinearity="leaky_relu"), "to_keras: Keras does not have its cell, rnn_leaky_relu"),
        (gatewise.LSTM(3, 4, bidirectional=True, merge="learned"), "to_keras: .*merge='learned'"),
        (gatewise.LSTM(3, 4, bidirectional=True, masked_output="repeat"), "to_keras: .*masked_output='repeat'"),
    ],
)
def test_what_keras_does_not_have_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        gatewise.to_keras(layer)


def test_other_modules_are_refused():
    with pytest.raises(TypeError, match="to_keras: expected a recurrent layer of gatewise, got LSTM"):
        gatewise.to_keras(torch.nn.LSTM(3, 4))
    with pytest.raises(TypeError, match="source: expected a layer of Keras, a configuration or a path, got LSTM"):
        gatewise.from_keras(torch.nn.LSTM(3, 4))
    with pytest.raises(TypeError, match="names: expected a list of names, got 'encoder'"):
        gatewise.from_keras("model.keras", names="encoder")
    with pytest.raises(TypeError, match="names: only models have several layers"):
        gatewise.from_keras(LSTM, WEIGHTS, names=["encoder"])
    with pytest.raises(TypeError, match="weights: expected a list of arrays or a path, got NoneType"):
        gatewise.from_keras(LSTM)


WEIGHTS = [np.zeros((3, 16), "f"), np.zeros((4, 16), "f"), np.zeros(16, "f")]
LSTM = {"class_name": "LSTM", "config": {"name": "encoder", "units": 4}}


def lstm(**options):
    return {"class_name": "LSTM", "config": {"name": "encoder", "units": 4, **options}}


def both(first, second=None, **options):
    return {"class_name": "Bidirectional", "config": {"layer": first, "backward_layer": second, **options}}


@pytest.mark.parametrize(
    ("config", "weights", "message"),
    [
        ({"class_name": "Dense", "config": {}}, [], "Dense layer .*: not a recurrent layer that can be read"),
        ({"class_name": "CuDNNLSTM", "config": {}}, [], "expected SimpleRNN, LSTM, GRU, RNN of .*got CuDNNLSTM"),
        ({"config": {}}, [], "source: expected a mapping with class_name and config"),
        (lstm(units=0), WEIGHTS, "LSTM layer encoder: units: expected a positive integer, got 0"),
        (lstm(units=True), WEIGHTS, "units: expected a positive integer, got True"),
        (lstm(activation="gelu"), WEIGHTS, "encoder: activation: expected one of tanh, .*, got 'gelu'"),
        (lstm(activation={"class_name": "f"}), WEIGHTS, "encoder: activation: expected one of .*class_name"),
        (lstm(time_major=True), WEIGHTS, "time_major: expected false"),
        (lstm(use_bias=1), WEIGHTS, "use_bias: expected true or false, got 1"),
        (LSTM, WEIGHTS[:2], r"weights: expected 3 arrays \(kernel, recurrent_kernel, bias\), got 2"),
        (both(LSTM), WEIGHTS, r"weights: expected 6 arrays \(.*of both directions\), got 3"),
        (LSTM, [WEIGHTS[0].T, *WEIGHTS[1:]], r"kernel: expected shape \(16, 16\) for 4 units, got \(16, 3\)"),
        (LSTM, [*WEIGHTS[:2], np.zeros((2, 16), "f")], r"bias: expected shape \(16,\) for 4 units, got \(2, 16\)"),
        (LSTM, [WEIGHTS[0].astype("f8"), *WEIGHTS[1:]], "recurrent_kernel: expected the type of kernel"),
        (LSTM, [WEIGHTS[0].astype("i4"), *WEIGHTS[1:]], "kernel: expected one of the types .*, got int32"),
        (both(lstm(go_backwards=True)), WEIGHTS * 2, "go_backwards=True within Bidirectional"),
        (both(LSTM, LSTM), WEIGHTS * 2, "backward_layer: expected go_backwards=True"),
        (both(LSTM, lstm(go_backwards=True, activation="relu")), WEIGHTS * 2, "backward_layer: .* other activations"),
        (both(LSTM, merge_mode="max"), WEIGHTS * 2, "merge_mode: expected one of concat, .*, got 'max'"),
        (both(both(LSTM)), WEIGHTS * 2, "Bidirectional of Bidirectional"),
        ({"class_name": "RNN", "config": {"cell": {"class_name": "Mine", "config": {}}}}, [], "cell: .*got Mine"),
    ],
)
def test_malformed_and_unknown_are_refused_by_name(config, weights, message):
    with pytest.raises(ValueError, match=message):
        gatewise.from_keras(config, weights)


def test_keras_2_has_another_hard_sigmoid():
    from gatewise.interchange.keras.configs import read_config

    config = {"units": 4, "recurrent_activation": "hard_sigmoid"}
    assert str(read_config("GRU", config).activations[0]) == "HardSigmoid(alpha=0.166667, beta=0.5)"
    assert str(read_config("GRU", config, keras_2=True).activations[0]) == "HardSigmoid(alpha=0.2, beta=0.5)"
