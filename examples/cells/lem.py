import gatewise
from gatewise.equations import sigmoid, tanh


@gatewise.cell(cite="Rusch et al. 2022, arXiv:2110.04744, with Δt = 1")
def lem(x, y, z, /, V, W, b):
    """Long expressive memory: two states, each with a step size that the network chooses."""
    slow = sigmoid(V.slow @ x + W.slow @ y + b.slow)
    fast = sigmoid(V.fast @ x + W.fast @ y + b.fast)
    z = (1 - slow) * z + slow * tanh(V.z @ x + W.z @ y + b.z)
    return (1 - fast) * y + fast * tanh(V.y @ x + W.y @ z + b.y), z
