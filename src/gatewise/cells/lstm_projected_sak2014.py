from gatewise.equations import cell, sigmoid, tanh


@cell(cite="Sak, Senior & Beaufays 2014, arXiv:1402.1128v1", widths={"h": "P"})
def lstm_projected_sak2014(x, h, c, /, W, R, p, b, V):
    """LSTM with peepholes whose output is a recurrent projection to P < H units.

    Gates:
        i: input gate: how much of the candidate enters the cell state
        f: forget gate: how much of the old cell state is kept; near 1 the state, and its gradient, pass unchanged
        g: candidate: what could be written into the cell state; it has no peephole
        o: output gate: how much of the cell state is shown to the projection; its peephole sees the new cell state

    Notes:
        The paper calls the output r and what is projected m. Its layer with a second, non-recurrent projection is this
        cell with a linear layer beside it, and its softmax a read-out.

    See also: lstm_projected, peephole_lstm
    """
    i = sigmoid(W.i @ x + R.i @ h + p.i * c + b.i)
    f = sigmoid(W.f @ x + R.f @ h + p.f * c + b.f)
    g = tanh(W.g @ x + R.g @ h + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ x + R.o @ h + p.o * c + b.o)
    return V @ (o * tanh(c)), c
