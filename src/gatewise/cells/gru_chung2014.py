from gatewise.equations import cell, sigmoid, tanh


@cell(cite="Chung et al. 2014, arXiv:1412.3555v1, eq. 5-8")
def gru_chung2014(x, h, /, W, R, b):
    """Gated recurrent unit, reset before the product; z admits the candidate.

    Gates:
        r: reset gate: how much of the old state the candidate sees; near 0 the candidate depends on x_t alone
        z: update gate: how much of the candidate is taken; near 0 the old state is kept
        n: candidate: the proposed new state (`h̃` in many texts)

    Notes:
        The reset acts on the old state before the product with `W_hn`, so that the product for n waits for r. In
        gru_cudnn it acts after the product: a different function, so weights cannot be converted.

        z admits the candidate; in gru_cho2014 and gru_cudnn it keeps the old state. These are mirror images: since
        `1 − σ(a) = σ(−a)`, negating `W_xz`, `W_hz` and `b_z` turns this cell into gru_cho2014.

        torch.nn.GRU, cuDNN, Keras with reset_after=True (its default) and ONNX with linear_before_reset=1 compute
        gru_cudnn; Keras with reset_after=False and ONNX with linear_before_reset=0 (its default) compute gru_cho2014.

    See also: gru_cho2014, gru_cudnn
    """
    r = sigmoid(W.r @ x + R.r @ h + b.r)
    z = sigmoid(W.z @ x + R.z @ h + b.z)
    n = tanh(W.n @ x + R.n @ (r * h) + b.n)
    return (1 - z) * h + z * n
