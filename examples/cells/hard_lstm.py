import gatewise
from gatewise.equations import maximum, minimum


def hard_sigmoid(a):
    return maximum(minimum(0.25 * a + 0.5, 1), 0)


def hard_tanh(a):
    return maximum(minimum(a, 1), -1)


@gatewise.cell(cite="LSTM; the activations of Gulcehre et al. 2016, arXiv:1603.00391, without noise")
def hard_lstm(x, h, c, /, W, R, b):
    """LSTM with piecewise linear activations: the tangents of sigmoid and tanh at 0, cut off where they end."""
    i = hard_sigmoid(W.i @ x + R.i @ h + b.i)
    f = hard_sigmoid(W.f @ x + R.f @ h + b.f)
    g = hard_tanh(W.g @ x + R.g @ h + b.g)
    o = hard_sigmoid(W.o @ x + R.o @ h + b.o)
    c = f * c + i * g
    return o * hard_tanh(c), c
