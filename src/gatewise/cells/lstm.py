from gatewise.equations import cell, sigmoid, tanh


@cell(cite="Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000; torch.nn.LSTM")
def lstm(x, h, c, /, W, R, b, d):
    """Long short-term memory with a forget gate."""
    i = sigmoid(W.i @ x + b.i + R.i @ h + d.i)
    f = sigmoid(W.f @ x + b.f + R.f @ h + d.f)
    g = tanh(W.g @ x + b.g + R.g @ h + d.g)
    o = sigmoid(W.o @ x + b.o + R.o @ h + d.o)
    c = f * c + i * g
    return o * tanh(c), c
