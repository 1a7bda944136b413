from gatewise.equations import cell, sigmoid, tanh


@cell(cite="Cho et al. 2014, arXiv:1406.1078v3, eq. 5-8")
def gru_cho2014(x, h, /, W, R, b):
    """Gated recurrent unit, reset before the product; z keeps the old state."""
    r = sigmoid(W.r @ x + R.r @ h + b.r)
    z = sigmoid(W.z @ x + R.z @ h + b.z)
    n = tanh(W.n @ x + R.n @ (r * h) + b.n)
    return z * h + (1 - z) * n
