import gatewise
from gatewise.equations import sigmoid, tanh


@gatewise.cell(cite="Collins, Sohl-Dickstein & Sussillo 2017, arXiv:1611.09913")
def ugrnn(x, h, /, W, R, b):
    """Update gate RNN: one gate between the old state and a plain candidate."""
    g = sigmoid(W.g @ x + R.g @ h + b.g)
    n = tanh(W.n @ x + R.n @ h + b.n)
    return g * h + (1 - g) * n
