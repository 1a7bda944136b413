from gatewise.equations import cell, where


@cell(cite="activation: Maas, Hannun & Ng 2013, Rectifier nonlinearities improve acoustic models; slope 0.01")
def rnn_leaky_relu(x, h, /, W, R, b, d):
    """Simple recurrent network with leaky rectified linear units."""
    a = W @ x + b + R @ h + d
    return where(a > 0, a, 0.01 * a)
