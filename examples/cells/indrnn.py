import gatewise
from gatewise.equations import relu


@gatewise.cell(cite="Li et al. 2018, arXiv:1803.04831")
def indrnn(x, h, /, W, u, b):
    """Independently recurrent network: each unit sees its own past alone, so there is no recurrent matrix."""
    return relu(W @ x + u * h + b)
