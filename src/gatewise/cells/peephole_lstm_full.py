from gatewise.equations import cell, sigmoid, tanh


@cell(cite="as Graves 2013, arXiv:1308.0850, eq. 7-11, with full matrices from the cell state to the gates")
def peephole_lstm_full(x, h, c, /, W, R, P, b):
    """LSTM whose gates see the cell state through a full matrix.

    Gates:
        i: input gate: how much of the candidate enters the cell state; sees the old cell state as well
        f: forget gate: how much of the old cell state is kept; near 1 the state, and its gradient, pass unchanged; sees
            the old cell state as well
        g: candidate: what could be written into the cell state (`c̃` in many texts)
        o: output gate: how much of the cell state is shown as the output h; sees the new cell state as well

    Notes:
        Every gate sees the cell state of all units: `3·H²` weights, and one more product that has to wait, that with
        `c_t`. The peepholes of the literature have a weight per unit: peephole_lstm.

        The input gate sees `c_{t−1}`; that it see `c_t`, as some texts write, would be circular (see peephole_lstm).

    See also: peephole_lstm
    """
    i = sigmoid(W.i @ x + R.i @ h + P.i @ c + b.i)
    f = sigmoid(W.f @ x + R.f @ h + P.f @ c + b.f)
    g = tanh(W.g @ x + R.g @ h + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ x + R.o @ h + P.o @ c + b.o)
    return o * tanh(c), c
