"""What else is worth knowing about single cells."""

from collections.abc import Callable

from gatewise.cells import lookup
from gatewise.equations.mathematics import equations
from gatewise.explanations.page import Page


def _three_forms(page: Page) -> None:
    page.section("Three cells are called GRU")
    rows: list[tuple[str, str, str]] = []
    for name in ("gru_chung2014", "gru_cho2014", "gru_cudnn"):
        right = {line.left: line.right for line in equations(lookup(name))}
        rows.append((name.removeprefix("gru_"), f"`{right['n_t']}`", f"`{right['h_t']}`"))
    page.table(("form", "candidate n_t", "new state h_t"), rows)
    page.say("The gates r and z are the same in all three. They differ in two places.")
    page.say(
        "Where the reset acts: on the old state before the product with `W_hn` (chung2014, cho2014), or on the product "
        "after it (cudnn). These are different functions; weights do not carry over. After the product, all three "
        "products with `h_{t−1}` can run at once, which is why libraries chose it; before it, the product for n has to "
        "wait for r. The form after the product needs a second bias `b_hn` inside the bracket.",
        "What z means: in chung2014 it admits the candidate, in cho2014 and cudnn it keeps the old state. These are "
        "mirror images: `1 − σ(a) = σ(−a)`, so turning the sign of `W_xz`, `W_hz` and `b_z` turns one into the other.",
    )
    page.table(
        ("library", "form"),
        [
            ("Chung et al. 2014, eq. 5-8", "gru_chung2014"),
            ("Cho et al. 2014, eq. 5-8", "gru_cho2014"),
            ("torch.nn.GRU, cuDNN", "gru_cudnn"),
            ("Keras, reset_after=True (its default)", "gru_cudnn, gates stored in the order z r h"),
            ("Keras, reset_after=False", "gru_cho2014, gates stored in the order z r h"),
            ("ONNX, linear_before_reset=1", "gru_cudnn, gates stored in the order z r h"),
            ("ONNX, linear_before_reset=0 (its default)", "gru_cho2014, gates stored in the order z r h"),
        ],
    )


def _two_peepholes(page: Page) -> None:
    page.section("Two readings of the peephole")
    rows: list[tuple[str, str]] = []
    for name in ("peephole_lstm", "peephole_lstm_full"):
        right = {line.left: line.right for line in equations(lookup(name))}
        rows += [(name, f"`{gate} = {right[gate]}`") for gate in ("i_t", "f_t", "o_t")]
    page.table(("cell", "its peephole gates"), rows)
    page.say(
        "With a weight per unit (peephole_lstm) each gate sees the cell state of its unit only: `3·H` weights. This "
        "is what Gers & Schmidhuber 2000 and Gers, Schraudolph & Schmidhuber 2002 built and what Graves 2013 means by "
        "diagonal. A text that writes `U_f c_{t−1}` can be read as a full matrix (peephole_lstm_full): every gate then "
        "sees the cell state of all units, with `3·H²` weights and one more product that waits, that with `c_t`."
    )
    page.section("Why the input gate sees `c_{t−1}`")
    page.say(
        "One text lets the input gate see `c_t`. That would be circular: `c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t` needs `i_t` "
        "first. So the input and the forget gate see `c_{t−1}`, and only the output gate, computed after the cell "
        "state, sees `c_t`."
    )


def _two_biases(page: Page) -> None:
    page.section("Why there are two biases")
    page.say(
        "Their sum alone matters here. torch.nn keeps one for the input and one for the recurrence, because cuDNN "
        "does; the cell keeps both, so that weights can be exchanged by copying."
    )


REMARKS: dict[str, Callable[[Page], None]] = {
    "rnn_tanh": _two_biases,
    "rnn_relu": _two_biases,
    "rnn_sigmoid": _two_biases,
    "rnn_leaky_relu": _two_biases,
    "lstm": _two_biases,
    "gru_chung2014": _three_forms,
    "gru_cho2014": _three_forms,
    "gru_cudnn": _three_forms,
    "peephole_lstm": _two_peepholes,
    "peephole_lstm_full": _two_peepholes,
}
