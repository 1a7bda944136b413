"""Two directions over one sequence."""

from gatewise.equations.cell import Cell
from gatewise.explanations.cell_page import add_costs, add_equations
from gatewise.explanations.page import Page

DRAWING = """\
            y_1            y_2            y_3            y_4
             ↑              ↑              ↑              ↑
           merge          merge          merge          merge
            ↑ ↑            ↑ ↑            ↑ ↑            ↑ ↑
  hᵇ:       │ ○ ←──────────│ ○ ←──────────│ ○ ←──────────│ ○ ←── 0
  hᶠ:  0 ─→ ○ │ ─────────→ ○ │ ─────────→ ○ │ ─────────→ ○ │
            ↑ ↑            ↑ ↑            ↑ ↑            ↑ ↑
             x_1            x_2            x_3            x_4"""


def bidirectional_page(*, latex: bool, cell: Cell, name: str, input_size: int, hidden_size: int) -> Page:
    """The page of a bidirectional layer with this cell."""
    page = Page(latex)
    page.title(name)
    page.say(
        f"Two networks ({cell.name}), each with its own parameters, read the sequence: one forwards, one backwards. "
        "So the output at t knows what came before t and what comes after it."
    )
    page.draw(DRAWING)
    page.state(
        ("hᶠ_t", "cell(x_t, hᶠ_{t−1})"),
        ("hᵇ_t", "cell(x_t, hᵇ_{t+1})"),
        ("h_t", "merge(hᶠ_t, hᵇ_t)"),
        ("y_t", "W_hy h_t + b_y"),
    )
    page.say("`cell` stands for the equations below; with other states than h, each direction carries its own.")
    page.table(
        ("merge", "output h_t", "width"),
        [
            ("concat", "`[hᶠ_t, hᵇ_t]`, one after the other", "`2·H`"),
            ("sum", "`hᶠ_t + hᵇ_t`", "H"),
            ("mean", "`(hᶠ_t + hᵇ_t)/2`", "H"),
            ("mul", "`hᶠ_t ⊙ hᵇ_t`", "H"),
            ("learned", "a trained linear map of both", "H"),
            ("None", "the last layer gives the pair as it is", "H and H"),
        ],
    )
    page.section("When to use it")
    page.say(
        "Where the whole sequence is available before the answer is needed: tagging, classification, the encoder of a "
        "translation. Not where the answer at t must not know the future: a language model, forecasting, streams.",
        "Sequences of different lengths: the backward network has to begin at the true end of each, not in the padding "
        "(pass lengths). For one vector per sequence take the final state of both directions, not the output at the "
        "last step, where the backward network has read a single input.",
        "Published: Schuster & Paliwal 1997, Bidirectional recurrent neural networks, IEEE Transactions on Signal "
        "Processing 45(11); with LSTM: Graves & Schmidhuber 2005, Framewise phoneme classification with bidirectional "
        "LSTM, Neural Networks 18(5-6)",
    )
    add_equations(page, cell, read_out=False)
    page.say("The backward network's parameters are stored under the same names with _reverse at the end.")
    add_costs(page, cell, input_size=input_size, hidden_size=hidden_size, directions=2)
    page.section("Back-propagation")
    page.say(
        "The gradient of the merged output is propagated to both directions; each then runs its own back-propagation "
        "through time, the forward network from the last step to the first, the backward network from the first to the "
        "last. Both gradients of `x_t` are added, and the parameters of both directions are trained together. One "
        f"step: gatewise explain {cell.name}."
    )
    return page
