import re
from pathlib import Path

import pytest

import gatewise
from gatewise.cells import lookup, names
from gatewise.compiler import plan
from gatewise.equations import Cell, cell, sigmoid, tanh
from gatewise.explanations import explain, topics
from gatewise.explanations.bptt import unrolled
from gatewise.explanations.counts import multiply_add_formula, parameter_count, parameter_formula
from gatewise.explanations.page import WIDTH, latex_mathematics
from gatewise.explanations.topics import CELLS, TWO_DIRECTIONS

EVERYTHING = sorted(topics())
CELL_FILE = """
from gatewise.equations import cell, tanh

@cell(cite="unpublished, 2026")
def mine(x, h, /, W, R):
    '''A cell of a user.'''
    return tanh(W @ x + R @ h)
"""


@pytest.mark.parametrize("topic", EVERYTHING)
def test_pages_fit_a_terminal(topic: str) -> None:
    text = explain(topic)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "`" not in text
    assert "\\" not in text


@pytest.mark.parametrize("topic", EVERYTHING)
def test_latex_is_balanced_ascii_outside_of_drawings(topic: str) -> None:
    text = re.sub(r"\\begin\{verbatim\}.*?\\end\{verbatim\}", "", explain(topic, latex=True), flags=re.DOTALL)
    assert text.isascii(), {letter for letter in text if not letter.isascii()}
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\left") - text.count(r"\leftarrow") == text.count(r"\right") - text.count(r"\rightarrow")
    for begin in set(re.findall(r"\\begin\{(\w+\*?)\}", text)):
        assert text.count(rf"\begin{{{begin}}}") == text.count(rf"\end{{{begin}}}")


# Topics share formulas, and each takes a while.
UNDERSTOOD: set[str] = set()


@pytest.mark.parametrize("topic", EVERYTHING)
def test_latex_is_understood(topic: str) -> None:
    """By matplotlib's reader of TeX, equation by equation and formula by formula."""
    parser = pytest.importorskip("matplotlib.mathtext").MathTextParser("path")
    text = re.sub(r"\\begin\{verbatim\}.*?\\end\{verbatim\}", "", explain(topic, latex=True), flags=re.DOTALL)
    formulas: list[str] = []
    for block in re.findall(r"\\begin\{align\*\}\n(.*?)\n\\end\{align\*\}", text, flags=re.DOTALL):
        if "cases" not in block:
            formulas += [line.replace("&", "").removesuffix(r" \\") for line in block.split("\n")]
    prose = re.sub(r"\\begin\{align\*\}.*?\\end\{align\*\}", "", text, flags=re.DOTALL)
    formulas += re.findall(r"(?<!\\)\$(.*?)(?<!\\)\$", prose, flags=re.DOTALL)
    assert formulas
    for formula in set(formulas) - UNDERSTOOD:
        parser.parse(f"${' '.join(formula.split()).replace(chr(92) + 'text{', chr(92) + 'mathrm{')}$")
        UNDERSTOOD.add(formula)


@pytest.mark.parametrize(
    ("topic", "same"), [("rnn", "rnn_tanh"), ("vanishing", "gradients"), ("birnn", "bidirectional")]
)
def test_short_names(topic: str, same: str) -> None:
    assert explain(topic).split("\n", 2)[2] == explain(same).split("\n", 2)[2]


@pytest.mark.parametrize("name", names())
def test_cell_pages_hold_what_they_promise(name: str) -> None:
    text = explain(name, input_size=10, hidden_size=20)
    made = lookup(name)
    for wanted in (
        "y_t = W_hy h_t + b_y",
        "Size and work",
        f"{parameter_count(made, 10, 20, 10, 2):,}",
        f"{plan(made).multiply_adds(10, 20, 10, 2):,}",
        "for I = 10, H = 20",
        "δh_t",
        "∂L/∂",
        made.cite[:20],
    ):
        assert wanted in text
    assert ("What each gate is for" in text) == bool(made.gates)
    assert "not documented" not in text
    for role in (*made.documentation.gates.values(), *made.documentation.notes):
        assert " ".join(role.replace("`", "").split()[:4]) in " ".join(text.split())


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("directions", [1, 2])
def test_formulas_give_the_numbers(name: str, directions: int) -> None:
    made = lookup(name)
    for sizes in ((3, 6, 2, 3), (128, 256, 64, 4)):
        for formula, count in (
            (parameter_formula(made, directions), parameter_count(made, *sizes)),
            (multiply_add_formula(plan(made), directions), plan(made).multiply_adds(*sizes)),
        ):
            arithmetic = formula.replace("·", "*").replace("²", "**2")
            assert eval(arithmetic, dict(zip(("I", "H", "P", "heads"), sizes, strict=True))) == directions * count


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("rnn_tanh", "H·(I + H + 2)"),
        ("lstm", "4·H·(I + H + 2)"),
        ("gru_chung2014", "3·H·(I + H + 1)"),
        ("peephole_lstm", "4·H·(I + H + 1) + 3·H"),
        ("peephole_lstm_full", "4·H·(I + H + 1) + 3·H²"),
        ("lstm_projected", "4·H·(I + P + 2) + P·H"),
    ],
)
def test_parameter_formulas(name: str, formula: str) -> None:
    assert parameter_formula(lookup(name)) == formula


def test_multiply_adds_where_the_products_differ() -> None:
    assert multiply_add_formula(plan(lookup("peephole_lstm_full"))) == "4·H·I + 7·H²"


@pytest.mark.parametrize(
    ("topic", "layer"),
    [("gru", gatewise.GRU), ("bigru", gatewise.BiGRU), ("rnn", gatewise.RNN), ("birnn", gatewise.BiRNN)],
)
def test_a_short_name_explains_the_default_of_its_layer(topic: str, layer: type[gatewise.Recurrent]) -> None:
    cell = layer(1, 1).cell
    assert (CELLS | TWO_DIRECTIONS)[topic] == cell.name
    page = explain(topic)
    if "gru" in topic:
        paragraph = " ".join(page.split("\n\n")[1].split())
        assert 'variant="cudnn", the default and that of torch.nn.GRU (gru_cudnn, this page)' in paragraph
        assert all(name in paragraph for name in ("gru_chung2014", "gru_cho2014"))


@pytest.mark.parametrize("topic", [5, None, gatewise.GRU])
def test_a_topic_of_another_type(topic: object) -> None:
    with pytest.raises(TypeError, match=r"topic: expected a name, FILE\.py:NAME or a Cell, got"):
        explain(topic)  # pyright: ignore[reportArgumentType]


def test_gru_page_compares_the_three_forms() -> None:
    for topic in ("gru", "gru_cho2014", "gru_cudnn"):
        text = explain(topic)
        for wanted in (
            "r_t ⊙ (W_hn h_{t−1} + b_hn)",
            "W_hn (r_t ⊙ h_{t−1})",
            "linear_before_reset",
            "Keras",
            "torch.nn",
        ):
            assert wanted in text


@pytest.mark.parametrize("name", ["peephole_lstm", "peephole_lstm_full"])
def test_peephole_page_compares_both_forms(name: str) -> None:
    text = explain(name)
    for wanted in ("p_i ⊙ c_{t−1}", "W_ci c_{t−1}", "circular"):
        assert wanted in text


@pytest.mark.parametrize("name", names())
def test_two_biases_are_explained_where_only_their_sum_matters(name: str) -> None:
    adds = {"b", "d"} <= set(lookup(name).groups) and name != "gru_cudnn"  # whose b_hn stands inside a product
    assert ("Why there are two biases" in explain(name)) == adds


def test_comparison_shows_only_equations_that_differ() -> None:
    related = explain("peephole_lstm").partition("Related cells")[2]
    assert "o_t = " in related
    assert "g_t = " not in related
    assert "h_t = " not in related


def test_bidirectional_counts_twice() -> None:
    assert f"{2 * parameter_count(lookup('lstm'), 128, 256):,}" in explain("bilstm")
    assert "2·4·H·(I + H + 2)" in explain("bilstm")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 4, 6, 7, 12, 99, 1000])
def test_drawing_of_any_length(steps: int, backward: bool) -> None:
    drawing = unrolled(steps, backward=backward)
    lines = drawing.split("\n")
    assert max(len(line) for line in lines) <= WIDTH - 2
    mark = "δ" if backward else ""
    displayed = re.findall(rf"{mark}h_(\d+)", lines[4].removeprefix("εh_0" if backward else "h_0"))
    assert displayed[0] == "1"
    assert displayed[-1] == str(steps)
    assert ("⋯" in drawing) == (steps > len(displayed))
    assert len(re.findall("L_", lines[0])) == len(displayed)
    # Every arrow stands over the middle of what it points to.
    for arrows, letters in ((1, 0), (1, 2), (3, 2), (5, 6)):
        for arrow in re.finditer("[↑↓]", lines[arrows]):
            words = [word.span() for word in re.finditer(r"\S+", lines[letters])]
            assert any(abs(arrow.start() - (start + end - 1) / 2) <= 1 for start, end in words)
    heads = lines[4].count("←") if backward else lines[4].count("→")
    assert heads == len(displayed) + ("⋯" in drawing)


def test_bptt_writes_the_sum_out() -> None:
    assert "δa_1 h_0ᵀ + δa_2 h_1ᵀ + δa_3 h_2ᵀ\n" in explain("bptt", steps=3)
    assert "L_1 + L_2 + … + L_8 + L_9 + L_10\n" in explain("bptt", steps=10)


def test_a_users_cell_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "cells.py"
    file.write_text(CELL_FILE)
    text = explain(f"{file}:mine")
    assert "A cell of a user." in text
    assert "h_t = tanh(W_xh x_t + W_hh h_{t−1})" in text
    with pytest.raises(ValueError, match="has no cell 'other': its cells are mine"):
        explain(f"{file}:other")
    file.write_text("")
    with pytest.raises(ValueError, match="has no cell 'mine': it defines no cell"):
        explain(f"{file}:mine")
    with pytest.raises(FileNotFoundError, match="no such file"):
        explain(f"{tmp_path / 'none.py'}:mine")


def test_long_equations_are_broken_before_a_sign() -> None:
    @cell
    def long(x, first_state, second_state, /, W, R, Q):
        total = W.gate @ x
        for index in range(6):
            total = total + getattr(R, f"gate{index}") @ first_state + getattr(Q, f"gate{index}") @ second_state
        return tanh(total), total

    lines = explain(long).splitlines()
    assert max(len(line) for line in lines) <= WIDTH
    assert any(line.strip().startswith("+ ") for line in lines)
    assert any(line.strip().startswith("k = gate0, gate1") for line in lines)


def test_the_docstring_of_a_users_cell_is_explained() -> None:
    @cell
    def leaky(x, h, /, W, R):
        """Leaky integrator.

        A second paragraph.

        Gates:
            f: forget gate: how much of
                `h` is kept

        Notes:
            Shown below.

        See also: rnn_tanh, no_such_cell
        """
        return sigmoid(W.f @ x) * h + tanh(R.n @ h)

    text = explain(leaky)
    assert "Leaky integrator.\n\n  A second paragraph.\n" in text
    assert re.search(r"f_t +\(0, 1\) +forget gate: how much of h is kept\n", text)
    assert re.search(r"n_t +\(−1, 1\) +not documented", text)
    assert "Notes\n\n  Shown below." in text
    assert "rnn_tanh  h_t = tanh(" in text


def test_a_cell_itself() -> None:
    @cell
    def bare(x, h, /, W):
        return tanh(W.u @ x) * h

    assert isinstance(bare, Cell)
    text = explain(bare)
    assert "not documented" in text
    assert "Published" not in text


@pytest.mark.parametrize(("topic", "meant"), [("lsmt", "lstm"), ("gradient", "gradients"), ("gru_cuda", "gru_cudnn")])
def test_unknown_topic_names_near_ones(topic: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown topic '{topic}': did you mean .*\b{meant}\b"):
        explain(topic)
    with pytest.raises(ValueError, match="the topics are bptt, gradients"):
        explain("zzzzzz")


@pytest.mark.parametrize("name", ["input_size", "hidden_size", "steps"])
def test_sizes_begin_at_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a whole number from 1, got 0"):
        explain("lstm", **{name: 0})


@pytest.mark.parametrize(
    ("unicode", "latex"),
    [
        ("h_{t−1}", "h_{t-1}"),
        ("δa_i,t", r"\delta a_{i,t}"),
        ("W_hyᵀ δy_t", r"W_{hy}^{\top} \delta y_{t}"),
        ("tanh(c_t)", r"\tanh(c_{t})"),
        ("diag(1 − h_j²) W_hh", r"\operatorname{diag}(1 - h_{j}^{2}) W_{hh}"),
        ("c̃", r"\tilde{c}"),
        ("cell(x_t, hᶠ_{t−1})", r"\text{cell}(x_{t}, h^{f}_{t-1})"),
    ],
)
def test_mathematics_in_prose(unicode: str, latex: str) -> None:
    assert latex_mathematics(unicode) == latex
