"""Printed mathematics read back and computed, by a reader's rules: what a student would compute from a page.

Vectors are columns (H, 1), so that W x, ᵀ and outer products are matrix algebra.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:e−?\d+)?)|(?P<name>[δε]?[^\W\d_]\u0303?\w*?′?"
    r"(?:_(?:\{[^}]*\}|[A-Za-z0-9]+\u0303?(?:,[a-z0-9]+\u0303?)*))?(?![A-Za-z0-9_]))"
    r"|(?P<sign>[δ√+−⊙·/()\[\]|ᵀ²<>≤≥=≠,;]))"
)
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "σ": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
    "exp": torch.exp,
    "ln": torch.log,
    "√": torch.sqrt,
    "min": torch.minimum,
    "max": torch.maximum,
}
COMPARE = {"<": torch.lt, "≤": torch.le, ">": torch.gt, "≥": torch.ge, "=": torch.eq, "≠": torch.ne}


class Reader:
    """Computes one printed expression."""

    def __init__(self, text: str, values: dict[str, Tensor]):
        self.text, self.values, self.index = text, values, 0

    def read(self) -> Tensor:
        value = self.choice()
        assert not self.text[self.index :].strip(), f"cannot read on at {self.text[self.index :]!r} of {self.text!r}"
        return value

    def peek(self) -> str:
        match = TOKEN.match(self.text, self.index)
        return match.group().strip() if match else ""

    def take(self, wanted: str = "") -> str:
        match = TOKEN.match(self.text, self.index)
        assert match, f"cannot read {self.text[self.index :]!r}"
        assert not wanted or match.group().strip() == wanted, f"expected {wanted} at {self.text[self.index :]!r}"
        self.index = match.end()
        return match.group().strip()

    def choice(self) -> Tensor:
        yes = self.sum()
        if self.peek() != "if":
            return yes
        self.take()
        condition = self.condition()
        self.take("else")
        return torch.where(condition, yes, self.sum())

    def condition(self) -> Tensor:
        left = self.sum()
        return COMPARE[self.take()](left, self.sum())

    def sum(self) -> Tensor:
        negative = self.peek() == "−" and bool(self.take())
        total = -self.product() if negative else self.product()
        while self.peek() in ("+", "−"):
            total = total + self.product() if self.take() == "+" else total - self.product()
        return total

    def product(self) -> Tensor:
        total = self.juxtaposed()
        while self.peek() in ("⊙", "·", "/"):
            total = total / self.juxtaposed() if self.take() == "/" else total * self.juxtaposed()
        return total

    def juxtaposed(self) -> Tensor:
        value = self.raised()
        following = self.peek()
        if following and following not in ("if", "else") and (following in "(δ√" or following[0].isalpha()):
            operand = self.raised()
            # A constant stands for a vector of it.
            return value @ (operand if operand.dim() else operand.expand(value.shape[-1], 1))
        return value

    def raised(self) -> Tensor:
        value = self.atom()
        while self.peek() in ("ᵀ", "²") and self.peek():
            value = value * value if self.take() == "²" else value.T if value.dim() else value  # of a number it warns
        return value

    def within_parentheses(self) -> str:
        self.take("(")
        start, depth = self.index, 1
        while depth:
            depth += {"(": 1, ")": -1}.get(self.take(), 0)
        return self.text[start : self.index].strip().removesuffix(")")

    def norm(self, token: str, inside: str) -> Tensor:
        """LN(v), or LN′(q; v): the gradient of v given q, that of LN(v); a subscript lists the gates that share it."""
        name, _, gates = token.partition("_")
        own = next((gate for gate in gates if re.search(rf"W_\w{gate}\b", inside)), "")
        texts = [re.sub(rf"(?<=_)(\w?){own}(?=[,\s);]|$)", rf"\g<1>{gate}", inside) for gate in gates] or [inside]
        read = [[Reader(part, self.values).read() for part in text.split("; ")] for text in texts]
        with torch.enable_grad():
            whole = torch.cat([parts[-1].detach() for parts in read]).requires_grad_()
            centred = whole - whole.mean() if name.startswith("LN") else whole
            result = centred / torch.sqrt((centred * centred).mean() + 1e-5)
            if name.endswith("′"):
                (result,) = torch.autograd.grad(result, whole, torch.cat([parts[0] for parts in read]))
        return result.detach().chunk(len(read))[gates.index(own) if own else 0]

    def atom(self) -> Tensor:
        token = self.take()
        if token == "δ":
            return self.values[f"δ({self.within_parentheses()})"]
        if token == "(":
            value = self.choice()
            self.take(")")
            return value
        if token == "[":
            value = self.condition().double()
            self.take("]")
            return value
        if token == "|":
            value = self.sum().abs()
            self.take("|")
            return value
        if token.partition("_")[0].rstrip("′") in ("LN", "RMSNorm"):
            return self.norm(token, self.within_parentheses())
        if token in FUNCTIONS:
            squared = self.peek() == "²" and bool(self.take())
            self.take("(")
            arguments = [self.choice()]
            while self.peek() == ",":
                self.take()
                arguments.append(self.choice())
            self.take(")")
            value = FUNCTIONS[token](*torch.broadcast_tensors(*arguments))
            return value * value if squared else value
        if token[0].isdigit():
            return torch.tensor(float(token.replace("−", "-")), dtype=torch.float64)
        return self.values[token]
