from gatewise.equations import cell, sigmoid, tanh


@cell(cite="cuDNN's and torch.nn.GRU's form; Cho et al. 2014, arXiv:1406.1078v1")
def gru_cudnn(x, h, /, W, R, b, d):
    """Gated recurrent unit, reset after the product."""
    r = sigmoid(W.r @ x + b.r + R.r @ h + d.r)
    z = sigmoid(W.z @ x + b.z + R.z @ h + d.z)
    n = tanh(W.n @ x + b.n + r * (R.n @ h + d.n))
    return (1 - z) * n + z * h
