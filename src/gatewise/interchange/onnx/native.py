"""Cells as ONNX's recurrent operators: which one computes a cell, and how its weights are stacked there."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from gatewise.cells import lookup
from gatewise.equations import Cell
from gatewise.equations.normal_form import normal_form
from gatewise.interchange.identity import bias_forms
from gatewise.interchange.onnx.activations import default
from gatewise.interchange.onnx.conventions import BUILT_IN, OPERATORS, Form, Operator

# Built-in cells that a node computes when the rows of some gates are negated: 1 − σ(a) = σ(−a).
_NEGATED = {"gru_chung2014": ("gru_cho2014", ("z",))}


@dataclass(frozen=True)
class Native:
    """The operator that computes a cell.

    Attributes:
        form: the operator's form.
        negated: the gates whose rows are negated.
    """

    form: Form
    negated: tuple[str, ...] = ()

    @property
    def operator(self) -> Operator:
        return OPERATORS[self.form.operator]

    def attributes(self, direction_count: int) -> dict[str, list[str] | list[float] | int]:
        """The attributes of the node besides direction and hidden_size."""
        # The schema of RNN has a default of two activations, which is right for two directions alone.
        found: dict[str, list[str] | list[float] | int] = {"activations": list(self.form.activations) * direction_count}
        functions = [default(name) for name in self.form.activations]
        if alphas := [one.alpha for one in functions if one is not None and one.alpha is not None]:
            found["activation_alpha"] = alphas * direction_count
        if self.form.linear_before_reset:
            found["linear_before_reset"] = 1
        return found

    def rows(self, cell: Cell, group: str, hidden_size: int) -> np.ndarray:
        """The rows of a group of the cell in the operator's order."""
        gates = cell.gates_of(group)
        starts = [gates.index(gate) * hidden_size for gate in self._stacked(group)]
        return np.concatenate([np.arange(start, start + hidden_size) for start in starts])

    def signs(self, group: str, hidden_size: int) -> np.ndarray | None:
        """1 or −1 for every row of a group in the operator's order; None where nothing is negated."""
        if not self.negated:
            return None
        return np.repeat([-1.0 if gate in self.negated else 1.0 for gate in self._stacked(group)], hidden_size)

    def _stacked(self, group: str) -> tuple[str | None, ...]:
        return self.operator.peepholes if group == "p" else self.operator.gates


@cache
def _natives() -> dict[str, Native]:
    """By the normal form of the equations."""
    return dict(_forms())


def _forms() -> Iterator[tuple[str, Native]]:
    natives = {name: Native(form) for name, form in BUILT_IN.items()}
    natives |= {name: Native(BUILT_IN[same], negated) for name, (same, negated) in _NEGATED.items()}
    for name, native in natives.items():
        for cell in bias_forms(lookup(name)):
            yield normal_form(cell), native


def native_of(cell: Cell) -> Native | None:
    """The operator that computes a cell, with or without its biases; None where ONNX has none.

    >>> native_of(lookup("gru_chung2014")).form.operator, native_of(lookup("peephole_lstm_full"))
    ('GRU', None)
    """
    return _natives().get(normal_form(cell))
