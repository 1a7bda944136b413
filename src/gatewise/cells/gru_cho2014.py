from gatewise.equations import cell, sigmoid, tanh


@cell(cite="Cho et al. 2014, arXiv:1406.1078v3, eq. 5-8")
def gru_cho2014(x, h, /, W, R, b):
    """Gated recurrent unit, reset before the product; z keeps the old state.

    Gates:
        r: reset gate: how much of the old state the candidate sees; near 0 the candidate depends on x_t alone
        z: update gate: how much of the old state is kept; near 1 the candidate is ignored
        n: candidate: the proposed new state (`h̃` in many texts)

    Notes:
        The reset acts on the old state before the product with `W_hn`, so that the product for n waits for r. In
        gru_cudnn it acts after the product: a different function, so weights cannot be converted.

        z keeps the old state; in gru_chung2014 it admits the candidate. These are mirror images: since
        `1 − σ(a) = σ(−a)`, negating `W_xz`, `W_hz` and `b_z` turns this cell into gru_chung2014.

        Keras with reset_after=False and ONNX with linear_before_reset=0 (its default) compute this cell, with the gates
        stored in the order z r h. torch.nn.GRU, cuDNN and the default of Keras compute gru_cudnn.

    See also: gru_chung2014, gru_cudnn
    """
    r = sigmoid(W.r @ x + R.r @ h + b.r)
    z = sigmoid(W.z @ x + R.z @ h + b.z)
    n = tanh(W.n @ x + R.n @ (r * h) + b.n)
    return z * h + (1 - z) * n
