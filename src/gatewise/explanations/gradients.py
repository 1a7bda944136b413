"""Vanishing and exploding gradients: why, how fast, and what helps."""

from gatewise.cells import lookup
from gatewise.explanations.backward_equations import BackwardEquations
from gatewise.explanations.page import Page

_FACTORS = (0.25, 0.5, 0.9, 1.0, 1.1, 2.0)
_SPANS = (1, 10, 50, 100)


def gradients_page(*, latex: bool) -> Page:
    """The page about gradients in back-propagation through time."""
    page = Page(latex)
    page.title("Vanishing and exploding gradients")
    page.say(
        "Back-propagation through a simple recurrent network multiplies the gradient at every step by the same kind of "
        "matrix, the Jacobian of the step (see gatewise explain bptt):"
    )
    page.state(
        ("∂h_t/∂h_k", "Π_{j=k+1..t} diag(σ′(a_j)) W_hh"),
    )
    page.say(
        "Its size is bounded by `‖∂h_t/∂h_k‖ ≤ (γ λ)^{t−k}`, where `λ` is the largest singular value of `W_hh` and `γ` "
        "the largest slope of the activation: 1/4 for the logistic sigmoid, 1 for tanh and ReLU. The real product is "
        "smaller where units saturate, since their slope is then near 0."
    )
    page.section("How fast")
    page.say("The remaining fraction of a gradient when every step multiplies it by the same factor:")
    page.table(
        ("factor", *(f"{span} step{'s' * (span > 1)}" for span in _SPANS)),
        [(f"{factor:g}", *(f"{factor**span:.2g}" for span in _SPANS)) for factor in _FACTORS],
    )
    page.section("Vanishing")
    page.say(
        "If `γ λ < 1` the gradient must vanish: early inputs do not influence the update, the weights barely move "
        "because of them, and the network learns short spans only. With the sigmoid this holds whenever `λ < 4`. "
        "It is silent: the loss falls, and stops early. Look at the norm of `δh_t` for each t."
    )
    page.section("Exploding")
    page.say(
        "Only if `γ λ > 1` can it explode (necessary, not sufficient): one update then moves the weights far away and "
        "the loss jumps or becomes NaN. ReLU is most prone to it, since its slope stays 1 however large the state is; "
        "depth multiplies in the same way as time."
    )
    page.section("What helps")
    page.table(
        ("against", "remedy"),
        [
            ("exploding", "Clip the gradient: scale it down when its norm is above a threshold (Pascanu et al. 2013)"),
            (
                "both",
                "Initialise so that the factor is near 1: orthogonal `W_hh` (Saxe et al. 2014), Xavier for tanh "
                "(Glorot & Bengio 2010), He for ReLU (He et al. 2015), the identity for ReLU (Le et al. 2015)",
            ),
            ("vanishing", "ReLU, whose slope is 1 where it is active; it needs a suitable initialisation"),
            (
                "vanishing",
                "A cell with an additive path: LSTM, GRU; the bias of the forget gate starts at 1 "
                "(Jozefowicz et al. 2015)",
            ),
            ("both", "Truncated BPTT bounds the number of factors, and with it what can be learned"),
        ],
    )
    page.section("The additive path of a gated cell")
    for name, state, gate in (("lstm", "c", "f"), ("gru_chung2014", "h", "z")):
        backward = BackwardEquations(lookup(name), latex=latex)
        sent = backward.leaving[lookup(name).states.index(state)]
        page.say(f"The gradient that a step of {name} propagates to `{state}_{{t−1}}`, derived from its graph:")
        page.show([sent])
        kept = "where the forget gate is near 1" if gate == "f" else "where the update gate is near 0"
        path = "`δc_t ⊙ f_t`" if gate == "f" else "`δh_t ⊙ (1 − z_t)`"
        page.say(
            f"The path {path} contains no matrix and no activation slope: {kept}, the gradient passes a step unchanged."
        )
    page.section("Published")
    page.say(
        "Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen; Bengio, Simard & Frasconi 1994, Learning "
        "long-term dependencies with gradient descent is difficult, IEEE Transactions on Neural Networks 5(2); "
        "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063; Hochreiter & Schmidhuber 1997, Long short-term memory, "
        "Neural Computation 9(8); Glorot & Bengio 2010 (AISTATS); Saxe et al. 2014, arXiv:1312.6120; He et al. 2015, "
        "arXiv:1502.01852; Le et al. 2015, arXiv:1504.00941; Jozefowicz et al. 2015 (ICML)."
    )
    return page
