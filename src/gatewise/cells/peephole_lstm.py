from gatewise.equations import cell, sigmoid, tanh


@cell(cite="equations: Graves 2013, arXiv:1308.0850, eq. 7-11; idea: Gers & Schmidhuber 2000")
def peephole_lstm(x, h, c, /, W, R, p, b):
    """LSTM whose gates see the cell state through a weight per unit.

    Gates:
        i: input gate: how much of the candidate enters the cell state; sees the old cell state as well
        f: forget gate: how much of the old cell state is kept; near 1 the state, and its gradient, pass unchanged; sees
            the old cell state as well
        g: candidate: what could be written into the cell state (`c̃` in many texts)
        o: output gate: how much of the cell state is shown as the output h; sees the new cell state as well

    Notes:
        Each gate sees the cell state of its own unit only, through `3·H` weights: the diagonal peepholes of Gers &
        Schmidhuber 2000, Gers, Schraudolph & Schmidhuber 2002 and Graves 2013. A text that writes `U_f c_{t−1}` can be
        read as a full matrix: that is peephole_lstm_full.

        Some texts let the input gate see `c_t`. That would be circular: `c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t` needs `i_t`
        first. So the input and the forget gate see `c_{t−1}`, and only the output gate, computed after the cell state,
        sees `c_t`.

    See also: peephole_lstm_full
    """
    i = sigmoid(W.i @ x + R.i @ h + p.i * c + b.i)
    f = sigmoid(W.f @ x + R.f @ h + p.f * c + b.f)
    g = tanh(W.g @ x + R.g @ h + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ x + R.o @ h + p.o * c + b.o)
    return o * tanh(c), c
