"""The topics of `explain` and their pages."""

import difflib
import operator

from gatewise.cells import lookup, names
from gatewise.equations.cell import Cell
from gatewise.equations.load import is_file_reference, load_cell
from gatewise.explanations.bidirectional import bidirectional_page
from gatewise.explanations.bptt import bptt_page
from gatewise.explanations.cell_page import cell_page
from gatewise.explanations.gates import gates_page
from gatewise.explanations.gradients import gradients_page
from gatewise.explanations.page import Page, Paragraph
from gatewise.explanations.studies import add_studies

CELLS = {"rnn": "rnn_tanh", "gru": "gru_cudnn"}  # the defaults of gatewise.RNN and gatewise.GRU
TWO_DIRECTIONS = {"birnn": CELLS["rnn"], "bilstm": "lstm", "bigru": CELLS["gru"]}
ALIASES = {"vanishing": "gradients", "exploding": "gradients"}
_FORMS = {
    "gru": (
        'gatewise.GRU computes one of three forms: variant="cudnn", the default and that of torch.nn.GRU (gru_cudnn, '
        'this page), variant="chung2014" (gru_chung2014) and variant="cho2014" (gru_cho2014). They are different '
        "functions; gatewise explain NAME prints each."
    ),
}
_FORMS["bigru"] = _FORMS["gru"].replace("gatewise.GRU computes", "gatewise.BiGRU computes in each direction")
GENERAL = {
    "bptt": "Back-propagation through time: the unrolled network and the sums over time",
    "gradients": "Vanishing and exploding gradients: why, how fast, what helps",
    "gates": "Every gate with its equation, and how to read it",
    "bidirectional": "Two directions over one sequence, and how to merge them",
}
_DEFAULTS = {"input_size": 128, "hidden_size": 256, "steps": 4}
_SIZES_OF_A_CELL = ("input_size", "hidden_size")
_SIZES_OF: dict[str, tuple[str, ...]] = {"bptt": ("steps",), "gradients": (), "gates": ()}


def topics() -> dict[str, str]:
    """Every topic with a one-line summary.

    >>> "bptt" in topics()
    True
    """
    two = {name: f"Bidirectional network of {cell}" for name, cell in TWO_DIRECTIONS.items()}
    short = {name: f"The same as {cell}" for name, cell in CELLS.items()}
    aliases = {name: f"The same as {topic}" for name, topic in ALIASES.items()}
    return GENERAL | aliases | two | short | {name: lookup(name).documentation.summary for name in names()}


def explain(
    topic: str | Cell,
    *,
    latex: bool = False,
    input_size: int | None = None,
    hidden_size: int | None = None,
    steps: int | None = None,
) -> str:
    """Explain a cell or a topic: equations, gates, sizes, back-propagation.

    Args:
        topic: the name of a cell or topic (see `topics`), ``FILE.py:NAME`` for a cell in a file (which is executed), or
            a `Cell`.
        latex: LaTeX (with amsmath) instead of Unicode.
        input_size: width I of the input, for the numbers of a cell (128).
        hidden_size: width H of the state, for the numbers of a cell (256).
        steps: steps of the unrolled network in ``bptt`` (4).

    Returns:
        The page, at most 100 columns wide unless it is LaTeX.

    Raises:
        TypeError: for a topic that is neither a name nor a cell.
        ValueError: for an unknown topic, a size below 1 or not used by the page, or a file without the cell.
        OSError: when the file cannot be read.

    >>> print(explain("lstm").splitlines()[0])
    lstm
    """
    if not isinstance(topic, str | Cell):
        raise TypeError(f"topic: expected a name, FILE.py:NAME or a Cell, got {type(topic).__name__}")
    topic = ALIASES.get(topic, topic) if isinstance(topic, str) else topic
    used = _SIZES_OF.get(topic, _SIZES_OF_A_CELL) if isinstance(topic, str) else _SIZES_OF_A_CELL
    sizes = _DEFAULTS.copy()
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("steps", steps)):
        if size is None:
            continue
        if operator.index(size) < 1:
            raise ValueError(f"{name}: expected a whole number from 1, got {size}")
        if name not in used:
            raise ValueError(f"{name}: has no effect on the page of {topic}")
        sizes[name] = size
    if isinstance(topic, Cell):
        return str(cell_page(topic, latex=latex, input_size=sizes["input_size"], hidden_size=sizes["hidden_size"]))
    page = _page(topic, latex=latex, **sizes)
    if topic in _FORMS:
        page.blocks.insert(1, Paragraph(_FORMS[topic]))
    add_studies(page, CELLS.get(topic, topic))
    return str(page)


def _page(topic: str, *, latex: bool, input_size: int, hidden_size: int, steps: int) -> Page:
    match topic:
        case "bptt":
            return bptt_page(latex=latex, steps=steps)
        case "gradients":
            return gradients_page(latex=latex)
        case "gates":
            return gates_page(latex=latex)
        case "bidirectional" | "birnn" | "bilstm" | "bigru":
            cell = lookup(TWO_DIRECTIONS.get(topic, "rnn_tanh"))
            return bidirectional_page(
                latex=latex, cell=cell, name=topic, input_size=input_size, hidden_size=hidden_size
            )
        case _:
            cell = _cell(topic)
            return cell_page(cell, latex=latex, input_size=input_size, hidden_size=hidden_size)


def _cell(topic: str) -> Cell:
    name = CELLS.get(topic, topic)
    if name in names():
        return lookup(name)
    if is_file_reference(topic):
        return load_cell(topic)
    near = difflib.get_close_matches(topic, topics(), n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else f"the topics are {', '.join(topics())}."
    raise ValueError(f"unknown topic {topic!r}: {meant} A user-defined cell is FILE.py:NAME")
