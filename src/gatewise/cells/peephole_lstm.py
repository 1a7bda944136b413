from gatewise.equations import cell, sigmoid, tanh


@cell(cite="equations: Graves 2013, arXiv:1308.0850, eq. 7-11; idea: Gers & Schmidhuber 2000")
def peephole_lstm(x, h, c, /, W, R, p, b):
    """LSTM whose gates see the cell state through a weight per unit."""
    i = sigmoid(W.i @ x + R.i @ h + p.i * c + b.i)
    f = sigmoid(W.f @ x + R.f @ h + p.f * c + b.f)
    g = tanh(W.g @ x + R.g @ h + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ x + R.o @ h + p.o * c + b.o)
    return o * tanh(c), c
