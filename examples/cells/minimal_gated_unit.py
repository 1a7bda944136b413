import gatewise
from gatewise.equations import sigmoid, tanh


@gatewise.cell(cite="Zhou et al. 2016, arXiv:1603.09420, eq. 5-7")
def minimal_gated_unit(x, h, /, W, R, b):
    """Minimal gated unit: one gate forgets, and hides the state from its own candidate."""
    f = sigmoid(W.f @ x + R.f @ h + b.f)
    n = tanh(W.n @ x + R.n @ (f * h) + b.n)
    return (1 - f) * h + f * n
