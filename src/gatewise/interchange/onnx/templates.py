"""The cells of ONNX's recurrent operators, and of Keras, as equations with any activations, clip and coupled gates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gatewise.cells import lookup
from gatewise.equations import Cell, Expr, maximum, minimum
from gatewise.equations.expression import lift, parameter
from gatewise.equations.tracing import check_parameters, parameter_kinds
from gatewise.interchange.onnx.activations import Activation
from gatewise.interchange.onnx.conventions import CELL_OF, OPERATORS, Form

_ROLES: dict[str, dict[str, str]] = {
    "LSTM": {
        "i": "input gate: how much of the candidate enters the cell state",
        "f": "forget gate: how much of the old cell state is kept",
        "g": "candidate: what could be written into the cell state",
        "o": "output gate: how much of the cell state is shown as the output h",
    },
    "GRU": {
        "r": "reset gate: how much of the old state the candidate sees",
        "z": "update gate: how much of the old state is kept",
        "n": "candidate: the proposed new state",
    },
    "RNN": {},
}


@dataclass(frozen=True)
class Equations:
    """What determines the equations of one direction of a node.

    Attributes:
        operator: ``RNN``, ``GRU`` or ``LSTM``.
        activations: as many as the operator has.
        bias: whether B is given.
        peepholes: whether P is given.
        coupled: input_forget: f = 1 − i, without the parameters of f.
        linear_before_reset: whether r acts after the product.
        clip: bound on the magnitude of what goes into an activation, or None. As in ONNX Runtime it does not apply to
            the operand of the LSTM's last activation, the cell state.
        framework: whose they are, for the name of a made cell.
    """

    operator: str
    activations: tuple[Activation, ...]
    bias: bool = True
    peepholes: bool = False
    coupled: bool = False
    linear_before_reset: bool = False
    clip: float | None = None
    framework: Literal["ONNX", "Keras"] = "ONNX"

    def cell(self) -> Cell:
        """The cell: a built-in one if there is one, otherwise made from the equations.

        Raises:
            ValueError: when constant activations leave nothing that reads the input.
        """
        if self.clip is None and not self.coupled and all(one.plain for one in self.activations):
            names = tuple(one.name for one in self.activations)
            found = CELL_OF.get(Form(self.operator, names, self.peepholes, self.linear_before_reset))
            if found is not None:
                return lookup(found)
        return self._made()

    def _made(self) -> Cell:
        outputs = {"RNN": self._rnn, "GRU": self._gru, "LSTM": self._lstm}[self.operator]()
        blocks = parameter_kinds(outputs)
        used = {block.gate for block in blocks}
        gates = tuple(gate for gate in _ROLES[self.operator] if gate in used)
        groups = tuple(group for group in "WRpbd" if group in {block.group for block in blocks})
        check_parameters(outputs, groups, ())
        states = OPERATORS[self.operator].states
        cite = f"{self.framework} {'operator' if self.framework == 'ONNX' else 'layer'} {self.operator}"
        return Cell(self._name(), cite, self._doc(gates), states, groups, gates, outputs)

    def _name(self) -> str:
        options = {
            "peephole": self.peepholes,
            "coupled": self.coupled,
            "linear_before_reset": self.linear_before_reset,
            "clipped": self.clip is not None,
        }
        parts = [self.framework.lower(), self.operator.lower(), *(name for name, is_on in options.items() if is_on)]
        if any(
            one.name != name for one, name in zip(self.activations, OPERATORS[self.operator].activations, strict=True)
        ):
            parts += [one.name.lower() for one in self.activations]
        return "_".join(parts)

    def _doc(self, gates: Sequence[str]) -> str:
        listed = ", ".join(str(one) for one in self.activations)
        clipped = "" if self.clip is None else f"; operands clipped to ±{self.clip:g}"
        roles = [f"    {gate}: {_ROLES[self.operator][gate]}" for gate in gates]
        summary = f"{self.operator} of {self.framework} with the activations {listed}{clipped}."
        return "\n".join([summary, "", "Gates:", *roles] if roles else [summary])

    def _clipped(self, a: Expr) -> Expr:
        return a if self.clip is None else maximum(minimum(a, self.clip), -self.clip)

    def _activated(self, activation: Activation, gate: str | None, peephole: Expr | None = None) -> Expr:
        """The value of a gate that sees x and h; a constant one has no parameters."""
        if activation.constant is not None:
            return lift(activation.constant)
        a = parameter("W", gate) @ _X + parameter("R", gate) @ _H
        if peephole is not None and self.peepholes:
            a = a + parameter("p", gate) * peephole
        return activation(self._clipped(self._biased(a, gate)))

    def _biased(self, a: Expr, gate: str | None, groups: str = "bd") -> Expr:
        for group in groups if self.bias else "":
            a = a + parameter(group, gate)
        return a

    def _rnn(self) -> tuple[Expr, ...]:
        return (self._activated(self.activations[0], None),)

    def _gru(self) -> tuple[Expr, ...]:
        of_gates, of_candidate = self.activations
        z = self._activated(of_gates, "z")
        if of_candidate.constant is not None:
            n = lift(of_candidate.constant)
        else:
            r = self._activated(of_gates, "r")
            a, product = self._biased(parameter("W", "n") @ _X, "n", "b"), parameter("R", "n")
            if self.linear_before_reset:
                a = a + r * self._biased(product @ _H, "n", "d")
            else:
                a = self._biased(a + product @ (r * _H), "n", "d")
            n = of_candidate(self._clipped(a))
        return ((1 - z) * n + z * _H,)

    def _lstm(self) -> tuple[Expr, ...]:
        of_gates, of_candidate, of_state = self.activations
        i = self._activated(of_gates, "i", _C)
        f = 1 - i if self.coupled else self._activated(of_gates, "f", _C)
        g = self._activated(of_candidate, "g")
        c = f * _C + i * g
        o = self._activated(of_gates, "o", c)
        shown = of_state(c) if of_state.constant is None else lift(of_state.constant)
        return o * shown, c


_X, _H, _C = Expr.make("input"), Expr.make("state", attr="h"), Expr.make("state", attr="c")
