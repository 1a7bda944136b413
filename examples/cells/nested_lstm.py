import gatewise
from gatewise.equations import sigmoid, tanh


@gatewise.cell(cite="Moniz & Krueger 2018, arXiv:1801.10308")
def nested_lstm(x, h, c, m, /, W, R, b, V, U, e):
    """Nested LSTM: the memory c of an LSTM is the output of another one, with a memory m of its own."""
    i = sigmoid(W.i @ x + R.i @ h + b.i)
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    g = tanh(W.g @ x + R.g @ h + b.g)
    o = sigmoid(W.o @ x + R.o @ h + b.o)
    inner_x, inner_h = i * g, f * c
    j = sigmoid(V.j @ inner_x + U.j @ inner_h + e.j)
    k = sigmoid(V.k @ inner_x + U.k @ inner_h + e.k)
    m = k * m + j * tanh(V.n @ inner_x + U.n @ inner_h + e.n)
    c = sigmoid(V.q @ inner_x + U.q @ inner_h + e.q) * tanh(m)
    return o * tanh(c), c, m
