"""A page of prose and mathematics, formatted for a terminal or as LaTeX."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gatewise.equations.mathematics import Equation
from gatewise.equations.notation import TILDE

WIDTH = 100


@dataclass(frozen=True)
class Heading:
    """The title of the page (level 1) or of a section (level 2)."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Prose. Mathematics is in backticks and written in Unicode."""

    text: str


@dataclass(frozen=True)
class Lines:
    """Equations with aligned equal signs; an empty left side continues the previous line."""

    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Table:
    """Rows under a header; cells are prose."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Drawing:
    """Preformatted text."""

    text: str


Block: TypeAlias = Heading | Paragraph | Lines | Table | Drawing


@dataclass
class Page:
    """A sequence of blocks.

    Attributes:
        latex: whether the page is LaTeX; the equations added must be too.
        blocks: the content.
    """

    latex: bool
    blocks: list[Block] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Add the title."""
        self.blocks.append(Heading(text, 1))

    def section(self, text: str) -> None:
        """Add the title of a section."""
        self.blocks.append(Heading(text))

    def say(self, *paragraphs: str) -> None:
        """Add prose, with mathematics in backticks."""
        self.blocks.extend(Paragraph(" ".join(text.split())) for text in paragraphs)

    def show(self, equations: Iterable[Equation]) -> None:
        """Add equations that are already in the format of the page."""
        self.blocks.append(Lines(tuple(equations)))

    def state(self, *lines: tuple[str, str]) -> None:
        """Add equations written in Unicode, as left and right sides."""
        set_ = latex_mathematics if self.latex else str
        self.show(Equation(set_(left), set_(right)) for left, right in lines)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table."""
        self.blocks.append(Table(tuple(head), tuple(tuple(row) for row in rows)))

    def draw(self, text: str) -> None:
        """Add a drawing."""
        self.blocks.append(Drawing(text))

    def __str__(self) -> str:
        setter = _latex if self.latex else _terminal
        return "\n\n".join(setter(block) for block in self.blocks)


def _terminal(block: Block) -> str:
    match block:
        case Heading(text, level):
            return text.replace("`", "") if level > 1 else f"{text}\n{'=' * _columns(text)}"
        case Paragraph(text):
            return textwrap.fill(text.replace("`", ""), WIDTH, initial_indent="  ", subsequent_indent="  ")
        case Lines(equations):
            return "\n".join(_terminal_lines(equations))
        case Table(head, rows):
            return _terminal_table(head, rows)
        case Drawing(text):
            return textwrap.indent(text, "  ")


def _terminal_lines(equations: Sequence[Equation]) -> list[str]:
    width = max(_columns(left) for left, _ in equations)
    lines: list[str] = []
    for left, right in equations:
        start = f"    {left}{' ' * (width - _columns(left))} {'=' if left else ' '} "
        # Long lines are broken before a plus sign or the list of gates.
        broken = textwrap.wrap(
            right.replace(" + ", "\x00+ ").replace(",  ", ",\x00 ").replace(" ", "\xa0").replace("\x00", " "),
            WIDTH - _columns(start),
            subsequent_indent="\xa0\xa0",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, part in enumerate(broken or [""]):
            lines.append((start if number == 0 else " " * _columns(start)) + part.replace("\xa0", " "))
    return lines


def _terminal_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[text.replace("`", "") for text in row] for row in (head, *rows)]
    widths = [max(_columns(row[index]) for row in cells) for index in range(len(head))]
    last = max(20, WIDTH - 2 - sum(width + 2 for width in widths[:-1]))
    lines: list[str] = []
    for row in cells:
        start = "  " + "".join(
            f"{text}{' ' * (width - _columns(text))}  " for text, width in zip(row[:-1], widths[:-1], strict=True)
        )
        parts = textwrap.wrap(row[-1], last) or [""]
        lines.append((start + parts[0]).rstrip())
        lines.extend(" " * _columns(start) + part for part in parts[1:])
    rule = "  " + "  ".join("─" * width for width in (*widths[:-1], min(widths[-1], last)))
    return "\n".join([lines[0], rule, *lines[1:]])


def _columns(text: str) -> int:
    """The width in a terminal; a combining tilde has none."""
    return len(text) - text.count(TILDE)


_IN_LATEX = {
    "⊙": r"\odot ",
    "σ": r"\sigma ",
    "μ": r"\mu ",
    "γ": r"\gamma ",
    "λ": r"\lambda ",
    "ρ": r"\rho ",
    "θ": r"\theta ",
    "δ": r"\delta ",
    "ε": r"\varepsilon ",
    "η": r"\eta ",
    "∂": r"\partial ",
    "Σ": r"\sum ",
    "Π": r"\prod ",
    "ᵀ": r"^{\top}",
    "²": "^{2}",
    "⁺": "^{+}",
    "ᶠ": "^{f}",
    "ᵇ": "^{b}",
    "′": "'",
    "·": r"\cdot ",
    "×": r"\times ",
    "≤": r"\leq ",
    "≥": r"\geq ",
    "≠": r"\neq ",
    "<": "<",
    "−": "-",
    "→": r"\to ",
    "∞": r"\infty ",
    "‖": r"\|",
    "…": r"\dots ",
    "√": r"\sqrt",
    "∈": r"\in ",
    "±": r"\pm ",
}


def latex_mathematics(text: str) -> str:
    """Convert mathematics from Unicode to LaTeX.

    >>> latex_mathematics("W_hy h_t + b_y")
    'W_{hy} h_{t} + b_{y}'
    """
    text = re.sub(f"(.){TILDE}", r"\\tilde{\1}", text)
    text = re.sub(r"\b([a-z]{2,}_[a-z]+)_(\w+)", _word_with_subscript, text)  # gain_h of gate i
    text = re.sub(r"([_^])([A-Za-z0-9]+(?:,[a-z])?)", r"\1{\2}", text)
    text = re.sub(r"\b(tanh|max|min|exp|ln)\b", r"\\\1", text)
    text = re.sub(r"\b(diag|ReLU|concat|LN|RMSNorm)\b", r"\\operatorname{\1}", text)
    text = re.sub(r"(?<![\\A-Za-z{])([a-z]{3,}(?: [a-z]{2,})*)", r"\\text{\1}", text)
    text = re.sub(r"√\(([^()]*)\)", r"\\sqrt{\1}", text)
    return re.sub(r" +", " ", "".join(_IN_LATEX.get(letter, letter) for letter in text)).strip()


def _word_with_subscript(found: re.Match[str]) -> str:
    return rf"\mathit{{{found[1].replace('_', chr(92) + chr(95))}}}_{{{found[2]}}}"


def _latex_prose(text: str) -> str:
    parts = text.split("`")
    for index, part in enumerate(parts):
        if index % 2:
            parts[index] = f"${latex_mathematics(part)}$"
        else:
            parts[index] = re.sub(r"([&%#_{}$])", r"\\\1", part).replace("−", "$-$").replace("→", r"$\to$")
    return "".join(parts)


def _latex(block: Block) -> str:
    match block:
        case Heading(text, level):
            return rf"\{'section' if level == 1 else 'subsection'}*{{{_latex_prose(text)}}}"
        case Paragraph(text):
            return textwrap.fill(_latex_prose(text), WIDTH, break_long_words=False, break_on_hyphens=False)
        case Lines(equations):
            lines = [f"  {left} &= {right}" if left else f"  &\\quad {right}" for left, right in equations]
            return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"
        case Table(head, rows):
            body = [" & ".join(_latex_prose(text) for text in row) + r" \\" for row in (head, *rows)]
            columns = "l" * (len(head) - 1) + r"p{0.5\linewidth}"
            return "\n".join([rf"\begin{{tabular}}{{{columns}}}", body[0], r"\hline", *body[1:], r"\end{tabular}"])
        case Drawing(text):
            return f"\\begin{{verbatim}}\n{text}\n\\end{{verbatim}}"
