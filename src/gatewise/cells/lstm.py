from gatewise.equations import cell, sigmoid, tanh


@cell(cite="Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000; torch.nn.LSTM")
def lstm(x, h, c, /, W, R, b, d):
    """Long short-term memory with a forget gate.

    Gates:
        i: input gate: how much of the candidate enters the cell state
        f: forget gate: how much of the old cell state is kept; near 1 the state, and its gradient, pass unchanged
        g: candidate: what could be written into the cell state (`c̃` in many texts)
        o: output gate: how much of the cell state is shown as the output h
    """
    i = sigmoid(W.i @ x + b.i + R.i @ h + d.i)
    f = sigmoid(W.f @ x + b.f + R.f @ h + d.f)
    g = tanh(W.g @ x + b.g + R.g @ h + d.g)
    o = sigmoid(W.o @ x + b.o + R.o @ h + d.o)
    c = f * c + i * g
    return o * tanh(c), c
