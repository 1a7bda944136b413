"""Two styles of mathematics: Unicode for a terminal, LaTeX for paper."""

from typing import ClassVar

from gatewise.equations.notation import MASK, TILDE, Symbol
from gatewise.equations.operations.operation import Notation


class Style:
    """How symbols and operations are printed: Unicode, for a terminal."""

    minus = "−"
    times = "⊙"
    scaled = "·"
    fractions = False

    def symbol(self, symbol: Symbol) -> str:
        """A letter with its mark, subscript and time."""
        below = self._below(symbol)
        base = symbol.base + TILDE * symbol.tilde
        below = f"{{{below}}}" if "−" in below else below
        return f"{symbol.mark}{base}" + (f"_{below}" if below else "")

    def number(self, value: float) -> str:
        """A number, as an integer where it is one."""
        return (str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)).replace("-", self.minus)

    def parentheses(self, text: str) -> str:
        """The text in parentheses."""
        return f"({text})"

    def transposed(self, text: str) -> str:
        """The transpose of a matrix."""
        return f"{text}ᵀ"

    def squared(self, text: str) -> str:
        """The square."""
        return f"{text}²"

    def bracket(self, condition: str) -> str:
        """1 where the condition holds, else 0."""
        return f"[{condition}]"

    def choice(self, yes: str, condition: str, no: str) -> str:
        """One of two values, by a condition."""
        return f"{yes} if {condition} else {no}"

    def fraction(self, numerator: str, denominator: str) -> str:
        """A quotient."""
        return f"{numerator} / {denominator}"

    def sum_over_time(self, text: str) -> str:
        """The sum over all steps."""
        return f"Σ_t {text}"

    def derivative(self, of: str) -> str:
        """The derivative of the loss."""
        return f"∂L/∂{of}"

    def sign(self, notation: Notation) -> str:
        """The sign of an operation."""
        return notation.unicode

    def over_units(self, word: str, subscript: str) -> str:
        """The name of a function of all units, with a subscript unless it is empty."""
        return f"{word}_{subscript}" if subscript else word

    def call(self, notation: Notation, *args: str, squared: bool = False) -> str:
        """A function of its arguments."""
        sign = self.sign(notation)
        if "{}" in sign:
            return sign.replace("{}", ", ".join(args))
        return (self.squared(sign) if squared else sign) + self.parentheses(", ".join(args))

    def _below(self, symbol: Symbol) -> str:
        letters = "".join if all(len(part.strip(TILDE)) == 1 for part in symbol.subscript) else ",".join
        return ",".join(part for part in (letters(symbol.subscript), symbol.time) if part)


class Latex(Style):
    """LaTeX with amsmath."""

    minus = "-"
    times = r"\odot"
    scaled = r"\,"
    fractions = True
    _marks: ClassVar = {"": "", "δ": r"\delta ", "ε": r"\varepsilon "}

    def symbol(self, symbol: Symbol) -> str:
        """A letter with its mark, subscript and time."""
        base = self._word(symbol.base + TILDE * symbol.tilde)
        letters = " " if all(len(part.strip(TILDE)) == 1 for part in symbol.subscript) else ","
        owner = letters.join(self._word(part) for part in symbol.subscript).replace(" ", "")
        below = ",".join(part for part in (owner, symbol.time.replace("−", "-")) if part)
        return f"{self._marks[symbol.mark]}{base}" + (f"_{{{below}}}" if below else "")

    def parentheses(self, text: str) -> str:
        """The text in parentheses of its height."""
        return rf"\left({text}\right)"

    def transposed(self, text: str) -> str:
        """The transpose of a matrix."""
        return rf"{text}^{{\top}}"

    def squared(self, text: str) -> str:
        """The square."""
        return f"{text}^{{2}}"

    def bracket(self, condition: str) -> str:
        """1 where the condition holds, else 0."""
        return rf"\left[{condition}\right]"

    def choice(self, yes: str, condition: str, no: str) -> str:
        """One of two values, by a condition."""
        return rf"\begin{{cases}}{yes} & \text{{if }} {condition} \\ {no} & \text{{else}}\end{{cases}}"

    def fraction(self, numerator: str, denominator: str) -> str:
        """A quotient."""
        return rf"\frac{{{numerator}}}{{{denominator}}}"

    def sum_over_time(self, text: str) -> str:
        """The sum over all steps."""
        return rf"\sum_t {text}"

    def derivative(self, of: str) -> str:
        """The derivative of the loss."""
        return rf"\frac{{\partial L}}{{\partial {of}}}"

    def sign(self, notation: Notation) -> str:
        """The sign of an operation."""
        return notation.latex

    def over_units(self, word: str, subscript: str) -> str:
        """The name of a function of all units, with a subscript unless it is empty."""
        name = rf"\operatorname{{{word.removesuffix('′')}}}" + "'" * word.endswith("′")
        return f"{name}_{{{subscript}}}" if subscript else name

    def _word(self, name: str) -> str:
        if name.endswith(TILDE):
            return rf"\tilde{{{self._word(name.removesuffix(TILDE))}}}"
        if name == MASK:
            return r"\mu"
        escaped = name.replace("_", r"\_")
        return escaped if len(name) < 2 else rf"\mathit{{{escaped}}}"


UNICODE = Style()
LATEX = Latex()
