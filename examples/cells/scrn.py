import gatewise
from gatewise.equations import sigmoid


@gatewise.cell(cite="Mikolov et al. 2015, arXiv:1412.7753, with α = 0.95 and as many context units as hidden ones")
def scrn(x, h, s, /, A, B, P, R):
    """Structurally constrained network: a slow context s beside a plain hidden state."""
    s = 0.05 * (B @ x) + 0.95 * s
    return sigmoid(P @ s + A @ x + R @ h), s
