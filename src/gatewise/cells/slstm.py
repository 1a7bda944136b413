from gatewise.equations import cell, exp, log_sigmoid, maximum, sigmoid, tanh, where


@cell(cite="Beck et al. 2024, arXiv:2405.04517, eq. 8-17", initial={"b.f": 1}, heads=("R",))
def slstm(x, h, c, n, m, /, W, R, b):
    """Scalar LSTM of xLSTM: exponential input gate, normaliser and stabiliser.

    Gates:
        i: input gate, the logarithm of its value: how much of the candidate enters the cell state, without an upper
            bound
        f: forget gate, the logarithm of its value: how much of the old cell state and normaliser is kept
        z: candidate: what could be written into the cell state
        o: output gate: how much of the cell state, relative to the normaliser, is shown as the output h

    Notes:
        The output is a weighted mean of the candidates: `c_t` sums them, `n_t` sums their weights. Both are stored
        divided by `exp(m_t)`, the largest weight so far, so that no exponential overflows and `n_t` is at least 1.

        Where `n_{t−1} = 0` (at the first step, after a reset) there is nothing to compare with: `m_t = i_t`. This is
        decided for every unit of every row. There the forget gate's exponent can be positive; it then multiplies
        zeros, and is held at 0 so that no `0 · ∞` arises. The forget gate is the sigmoid of the paper's two.

        The matrices `R` are block-diagonal, with a block for each head of units; one head by default.

    See also: lstm
    """
    i = W.i @ x + R.i @ h + b.i
    f = log_sigmoid(W.f @ x + R.f @ h + b.f)
    z = tanh(W.z @ x + R.z @ h + b.z)
    o = sigmoid(W.o @ x + R.o @ h + b.o)
    kept = f + m
    m = where(n == 0, i, maximum(i, kept))
    admit, keep = exp(i - m), exp(where(kept > m, 0, kept - m))
    c = keep * c + admit * z
    n = keep * n + admit
    return o * (c / n), c, n, m
