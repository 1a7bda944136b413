from gatewise.equations import cell, sigmoid, tanh


@cell(
    cite="Sak, Senior & Beaufays 2014, arXiv:1402.1128v1, without peepholes: torch.nn.LSTM(proj_size=P), cuDNN",
    widths={"h": "P"},
)
def lstm_projected(x, h, c, /, W, R, b, d, V):
    """LSTM whose output, which the gates read, is projected to P < H units.

    Gates:
        i: input gate: how much of the candidate enters the cell state
        f: forget gate: how much of the old cell state is kept; near 1 the state, and its gradient, pass unchanged
        g: candidate: what could be written into the cell state (`c̃` in many texts)
        o: output gate: how much of the cell state is shown to the projection

    Notes:
        The recurrent matrices have `4·H·P` elements rather than `4·H²`, and the projection `P·H`, so a state of many
        units costs less. The output h has the width P, the cell state c the width H.

    See also: lstm, lstm_projected_sak2014
    """
    i = sigmoid(W.i @ x + b.i + R.i @ h + d.i)
    f = sigmoid(W.f @ x + b.f + R.f @ h + d.f)
    g = tanh(W.g @ x + b.g + R.g @ h + d.g)
    o = sigmoid(W.o @ x + b.o + R.o @ h + d.o)
    c = f * c + i * g
    return V @ (o * tanh(c)), c
