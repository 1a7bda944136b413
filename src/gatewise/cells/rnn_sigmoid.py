from gatewise.equations import cell, sigmoid


@cell(
    cite='Elman 1990, "Finding structure in time", Cognitive Science 14(2), with the logistic units of its experiments'
)
def rnn_sigmoid(x, h, /, W, R, b, d):
    """Simple recurrent network with logistic units."""
    return sigmoid(W @ x + b + R @ h + d)
