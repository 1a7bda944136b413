from gatewise.equations import cell, layer_norm, sigmoid, tanh


@cell(
    cite="the per-gate form of Ba, Kiros & Hinton 2016, arXiv:1607.06450, as in tf.contrib.rnn.LayerNormBasicLSTMCell",
    initial={"gain": 1, "shift": 0, "shift.f": 1, "gain_c": 1, "shift_c": 0},
)
def lstm_layer_norm_per_gate(x, h, c, /, W, R, gain, shift, gain_c, shift_c):
    """LSTM with layer normalisation of every gate alone and of the cell state.

    Gates:
        i: input gate: how much of the candidate enters the cell state
        f: forget gate: how much of the old cell state is kept; near 1 the state, and its gradient, pass unchanged
        g: candidate: what could be written into the cell state (`c̃` in many texts)
        o: output gate: how much of the cell state is shown as the output h

    Notes:
        Every gate has a mean and a variance of its own, over its `H` units, and the sum of both products is normalised
        once; in the equations of the paper (lstm_layer_norm) all four gates share them, and each product is normalised
        alone. The state that is carried on is normalised as well, as in the code that made this form common.

    See also: lstm, lstm_layer_norm
    """
    i = sigmoid(layer_norm(W.i @ x + R.i @ h, gain.i, shift.i))
    f = sigmoid(layer_norm(W.f @ x + R.f @ h, gain.f, shift.f))
    g = tanh(layer_norm(W.g @ x + R.g @ h, gain.g, shift.g))
    o = sigmoid(layer_norm(W.o @ x + R.o @ h, gain.o, shift.o))
    c = layer_norm(f * c + i * g, gain_c, shift_c)
    return o * tanh(c), c
