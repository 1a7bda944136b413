import gatewise
from gatewise.equations import sigmoid, tanh


@gatewise.cell(cite="van der Westhuizen & Lasenby 2018, arXiv:1804.04849, with β = 1")
def janet(x, h, /, W, R, b):
    """JANET: an LSTM that has only its forget gate left; β lets in a little more than is forgotten."""
    s = W.f @ x + R.f @ h + b.f
    n = tanh(W.n @ x + R.n @ h + b.n)
    return sigmoid(s) * h + (1 - sigmoid(s - 1)) * n
