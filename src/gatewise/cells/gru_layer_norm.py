from gatewise.equations import cell, layer_norm, sigmoid, tanh


@cell(
    cite="Ba, Kiros & Hinton 2016, arXiv:1607.06450v1, eq. 26-28",
    initial={"gain_h": 1, "shift_h": 0, "gain_x": 1, "shift_x": 0},
)
def gru_layer_norm(x, h, /, W, R, gain_h, shift_h, gain_x, shift_x):
    """GRU with layer normalisation of both products; z admits the candidate.

    Gates:
        r: reset gate: how much of the old state's product the candidate sees; near 0 it depends on x_t alone
        z: update gate: how much of the candidate is taken; near 0 the old state is kept
        n: candidate: the proposed new state (`h̃` in many texts)

    Notes:
        One mean and one variance are those of the `2·H` units of r and z together, for each product; the candidate has
        its own. The reset acts on the normalised product, as that of gru_cudnn on the product, but z has the meaning
        of gru_chung2014.

        The paper divides by the standard deviation; here, as in its code, 1e-5 is added to the variance.

    See also: gru_cudnn, gru_chung2014
    """
    r, z = layer_norm((R.r @ h, R.z @ h), gain_h, shift_h)
    r_x, z_x = layer_norm((W.r @ x, W.z @ x), gain_x, shift_x)
    r = sigmoid(r + r_x)
    z = sigmoid(z + z_x)
    n = tanh(layer_norm(W.n @ x, gain_x.n, shift_x.n) + r * layer_norm(R.n @ h, gain_h.n, shift_h.n))
    return (1 - z) * h + z * n
