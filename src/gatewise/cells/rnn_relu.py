from gatewise.equations import cell, relu


@cell(cite='Le, Jaitly & Hinton 2015, arXiv:1504.00941 (IRNN); torch.nn.RNN with nonlinearity="relu"')
def rnn_relu(x, h, /, W, R, b, d):
    """Simple recurrent network with rectified linear units."""
    return relu(W @ x + b + R @ h + d)
