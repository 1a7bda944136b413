from gatewise.equations import cell, layer_norm, sigmoid, tanh


@cell(
    cite="Ba, Kiros & Hinton 2016, arXiv:1607.06450v1, eq. 20-22",
    initial={"gain_h": 1, "shift_h": 0, "gain_x": 1, "shift_x": 0, "gain_c": 1, "shift_c": 0},
)
def lstm_layer_norm(x, h, c, /, W, R, b, gain_h, shift_h, gain_x, shift_x, gain_c, shift_c):
    """LSTM with layer normalisation of both products and of the cell state.

    Gates:
        i: input gate: how much of the candidate enters the cell state
        f: forget gate: how much of the old cell state is kept; near 1 the state, and its gradient, pass unchanged
        g: candidate: what could be written into the cell state (`c̃` in many texts)
        o: output gate: how much of the cell state is shown as the output h

    Notes:
        One mean and one variance are those of all `4·H` units of a product; each gate has its part of the gains and
        shifts. In lstm_layer_norm_per_gate every gate has a mean and a variance of its own.

        The cell state itself is carried on as it is: only what the output shows of it is normalised. Both shifts and
        the bias are added to the same sum; all are there because the paper has them.

        The paper divides by the standard deviation; here, as in its code, 1e-5 is added to the variance.

    See also: lstm, lstm_layer_norm_per_gate
    """
    i, f, g, o = layer_norm((R.i @ h, R.f @ h, R.g @ h, R.o @ h), gain_h, shift_h)
    i_x, f_x, g_x, o_x = layer_norm((W.i @ x, W.f @ x, W.g @ x, W.o @ x), gain_x, shift_x)
    i = sigmoid(i + i_x + b.i)
    f = sigmoid(f + f_x + b.f)
    g = tanh(g + g_x + b.g)
    o = sigmoid(o + o_x + b.o)
    c = f * c + i * g
    return o * tanh(layer_norm(c, gain_c, shift_c)), c
