from gatewise.equations import cell, sigmoid, tanh


@cell(cite="cuDNN's and torch.nn.GRU's form; Cho et al. 2014, arXiv:1406.1078v1")
def gru_cudnn(x, h, /, W, R, b, d):
    """Gated recurrent unit, reset after the product.

    Gates:
        r: reset gate: how much of the old state's product the candidate sees; near 0 it depends on x_t alone
        z: update gate: how much of the old state is kept; near 1 the candidate is ignored
        n: candidate: the proposed new state (`h̃` in many texts)

    Notes:
        The reset acts on the product with `W_hn`, not on the old state as in gru_chung2014 and gru_cho2014: a different
        function, so weights cannot be converted. All three products with `h_{t−1}` can run at once, which is why
        libraries chose it; it needs a second bias `b_hn` inside the bracket.

        z keeps the old state, as in gru_cho2014; in gru_chung2014 it admits the candidate.

        torch.nn.GRU and cuDNN compute this cell; Keras with reset_after=True (its default) and ONNX with
        linear_before_reset=1 too, with the gates stored in the order z r h.

    See also: gru_chung2014, gru_cho2014
    """
    r = sigmoid(W.r @ x + b.r + R.r @ h + d.r)
    z = sigmoid(W.z @ x + b.z + R.z @ h + d.z)
    n = tanh(W.n @ x + b.n + r * (R.n @ h + d.n))
    return (1 - z) * n + z * h
