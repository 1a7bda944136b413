import gatewise
from gatewise.equations import sigmoid, tanh


@gatewise.cell(cite="Greff et al. 2017, arXiv:1503.04069, variant CIFG")
def coupled_lstm(x, h, c, /, W, R, p, b):
    """LSTM with peepholes whose forget gate is what the input gate leaves: f = 1 - i."""
    i = sigmoid(W.i @ x + R.i @ h + p.i * c + b.i)
    g = tanh(W.g @ x + R.g @ h + b.g)
    c = (1 - i) * c + i * g
    o = sigmoid(W.o @ x + R.o @ h + p.o * c + b.o)
    return o * tanh(c), c
