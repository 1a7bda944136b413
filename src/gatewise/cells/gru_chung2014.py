from gatewise.equations import cell, sigmoid, tanh


@cell(cite="Chung et al. 2014, arXiv:1412.3555v1, eq. 5-8")
def gru_chung2014(x, h, /, W, R, b):
    """Gated recurrent unit, reset before the product; z admits the candidate."""
    r = sigmoid(W.r @ x + R.r @ h + b.r)
    z = sigmoid(W.z @ x + R.z @ h + b.z)
    n = tanh(W.n @ x + R.n @ (r * h) + b.n)
    return (1 - z) * h + z * n
