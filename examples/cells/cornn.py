import gatewise
from gatewise.equations import tanh

STEP, FREQUENCY, DAMPING = 0.05, 1.0, 1.0  # Δt, γ and ε of the paper, to be chosen for the task


@gatewise.cell(cite="Rusch & Mishra 2021, arXiv:2010.00951, eq. 3 with the damping of step n − 1")
def cornn(x, y, z, /, V, W, Z, b):
    """Coupled oscillators: y is where they are and z how fast they move."""
    force = tanh(W @ y + Z @ z + V @ x + b)
    z = z + STEP * (force - FREQUENCY * y - DAMPING * z)
    return y + STEP * z, z
