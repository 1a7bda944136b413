"""A plan as text: one line per computed value, in order of execution."""

from collections.abc import Iterable

from gatewise.compiler.plan import Plan
from gatewise.compiler.schedule import Stage
from gatewise.equations.expression import Expr
from gatewise.equations.mathematics import ATOM, UNICODE, Printed, Printer


def dump(plan: Plan) -> str:
    """The forward and backward pass of a step, with the computations before and after the loops.

    εv is the contribution of the next step to the gradient of v, δv is the gradient of v; values without a name are
    numbered.

    >>> from gatewise.cells import lookup
    >>> from gatewise.compiler import plan
    >>> print(dump(plan(lookup("rnn_tanh"))))
    before the loop, once
      v1 = b_xh + b_hh
    before the loop, for all steps
      v2 = W_xh x_t + v1
    in the loop, stage 1
      v3 = W_hh h_{t−1}
      v4 = v2 + v3
      h_t = tanh(v4)
    saved for backward, besides the states
      nothing
    in the backward loop, stage 0
      v5 = h_t²
      v6 = 1 − v5
      v7 = εh_t ⊙ v6
    in the backward loop, stage 1
      v8 = W_hhᵀ v7
    sent to the previous step
      εh_{t−1} = v8
    after the loop, reductions over steps and rows
      δW_hh = Σ v7 h_{t−1}ᵀ
      δW_xh = Σ v7 x_tᵀ
      δv1 = Σ v7
    after the loop, for all steps
      δx_t = W_xhᵀ v7
    """
    lines, back = _Lines(plan), plan.backward
    lines.part("before the loop, once", plan.hoisted)
    lines.part("before the loop, for all steps", plan.input_projections)
    lines.stages("in the loop", plan.stages)
    lines.heading("saved for backward, besides the states")
    lines.add(", ".join(map(lines.write, back.saved)) or "nothing")
    known = set(plan.hoisted)
    lines.part("before the backward loop, once", (node for node in back.hoisted if node not in known))
    lines.stages("in the backward loop", back.stages)
    lines.heading("sent to the previous step")
    for state, gradient in back.states.items():
        lines.add(f"ε{lines.write(Expr.make('state', attr=state))} = {lines.write(gradient)}")
    lines.heading("after the loop, reductions over steps and rows")
    for outer in back.outers:
        block = lines.write(Expr.make("parameter", attr=outer.block))
        lines.add(f"δ{block} = Σ {lines.factor(outer.delta)} {lines.factor(outer.operand)}ᵀ")
    for vector, share in back.reductions.items():
        lines.add(f"δ{lines.factor(vector)} = Σ {lines.write(share)}")
    if back.input is not None:
        lines.heading("after the loop, for all steps")
        lines.add(f"δ{lines.write(Expr.make('input'))} = {lines.write(back.input)}")
    return str(lines)


class _Lines:
    """Builder of the lines; values computed by earlier lines have names."""

    def __init__(self, plan: Plan) -> None:
        self._printer = Printer(plan.cell, UNICODE)
        present = self._printer.symbols.present
        for state, output in zip(plan.cell.states, plan.outputs, strict=True):
            self._printer.names.setdefault(output, self._printer.symbol(present[state]))
        self._text: list[str] = []
        self._count = 0

    def __str__(self) -> str:
        return "\n".join(self._text)

    def write(self, node: Expr) -> str:
        """A value, by name if it has one."""
        return self._printer.write(node)

    def factor(self, node: Expr) -> str:
        """A value as a factor."""
        return self._printer.operand(node, ATOM)

    def heading(self, text: str) -> None:
        """Add the heading of the following lines."""
        self._text.append(text)

    def add(self, text: str) -> None:
        """Add an indented line."""
        self._text.append(f"  {text}")

    def part(self, heading: str, nodes: Iterable[Expr]) -> None:
        """Add a heading and a line per computed value, if there are any."""
        nodes = [node for node in nodes if node.args]
        if nodes:
            self.heading(heading)
        for node in nodes:
            right = self._printer.define(node)
            if node not in self._printer.names:
                self._count += 1
                self._printer.names[node] = Printed(f"v{self._count}", ATOM)
            self.add(f"{self.write(node)} = {right}")

    def stages(self, heading: str, stages: Iterable[Stage]) -> None:
        """The stages of a step."""
        for index, stage in enumerate(stages):
            self.part(f"{heading}, stage {index}", (*stage.products, *stage.work))
