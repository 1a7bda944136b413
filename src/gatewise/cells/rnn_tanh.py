from gatewise.equations import cell, tanh


@cell(cite='Elman 1990, "Finding structure in time", Cognitive Science 14(2); torch.nn.RNN')
def rnn_tanh(x, h, /, W, R, b, d):
    """Simple recurrent network with tanh units."""
    return tanh(W @ x + b + R @ h + d)
