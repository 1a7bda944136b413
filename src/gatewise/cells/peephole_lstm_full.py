from gatewise.equations import cell, sigmoid, tanh


@cell(cite="as Graves 2013, arXiv:1308.0850, eq. 7-11, with full matrices from the cell state to the gates")
def peephole_lstm_full(x, h, c, /, W, R, P, b):
    """LSTM whose gates see the cell state through a full matrix."""
    i = sigmoid(W.i @ x + R.i @ h + P.i @ c + b.i)
    f = sigmoid(W.f @ x + R.f @ h + P.f @ c + b.f)
    g = tanh(W.g @ x + R.g @ h + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ x + R.o @ h + P.o @ c + b.o)
    return o * tanh(c), c
