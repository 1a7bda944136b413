"""Back-propagation through time: the network unrolled, its gradients, and the sums over time."""

from gatewise.cells import lookup
from gatewise.equations.mathematics import equations
from gatewise.explanations.backward_equations import BackwardEquations
from gatewise.explanations.page import WIDTH, Page

_COLUMN = 14
_LEAD = 8
_MOST = (WIDTH - _LEAD - 4) // _COLUMN


def bptt_page(*, latex: bool, steps: int) -> Page:
    """Back-propagation through ``steps`` steps of a tanh network."""
    cell = lookup("rnn_tanh")
    backward = BackwardEquations(cell, latex=latex)
    page = Page(latex)
    page.title("Back-propagation through time (BPTT)")
    page.say(
        "A recurrent network applies the same cell, with the same parameters, at every step. Unrolled over a sequence "
        "it is a deep network with one layer per step, and back-propagation works on it as on any other.",
        "Published: Werbos 1990, Backpropagation through time: what it does and how to do it, Proceedings of the IEEE "
        "78(10); Rumelhart, Hinton & Williams 1986",
    )
    page.section(f"Forward: {steps} step{'s' * (steps > 1)}")
    page.draw(unrolled(steps))
    page.show(equations(cell, latex=latex))
    page.state(("y_t", "W_hy h_t + b_y"), ("L", total_loss(steps)))
    page.section("Backward: the gradients against the arrows")
    page.draw(unrolled(steps, backward=True))
    page.say(
        "`δv` is `∂L/∂v`, and `a_t` the argument of tanh. Two gradients are added at every state: that of the step's "
        f"own loss, through `y_t`, and the one from the next step, `εh_t` (0 at t = {steps})."
        + f" From t = {steps} down to 1:"
        * (steps > 1)
    )
    page.show([*backward.inside, *backward.leaving])
    page.section("The sum over time")
    page.say("All steps use the same matrix, so its gradient is the sum of the contributions of all steps:")
    page.show(backward.parameters)
    page.state(("∂L/∂W_hh", _written_out(steps)), ("∂L/∂W_hy", "Σ_t δy_t h_tᵀ"))
    page.section("The product of Jacobians")
    page.say(
        "The loss of step t reaches step `k ≤ t` through every step between them, and each multiplies by the Jacobian "
        "of the step. `∂⁺` is the derivative of step k alone, with `h_{k−1}` held fixed:"
    )
    page.state(
        ("∂L/∂W_hh", "Σ_t Σ_{k≤t} ∂L_t/∂h_t · ∂h_t/∂h_k · ∂⁺h_k/∂W_hh"),
        ("∂h_t/∂h_k", "Π_{j=k+1..t} ∂h_j/∂h_{j−1}"),
        ("∂h_j/∂h_{j−1}", "diag(1 − h_j²) W_hh"),
    )
    page.say("A product of many factors shrinks or grows exponentially with t − k: see gatewise explain gradients.")
    page.section("Truncated BPTT")
    page.say(
        "A stream has no end at which to begin. Truncated BPTT(k1; k2) back-propagates every k1 steps over the last k2 "
        "steps, and carries the state, but not its gradient, across the boundary. The cost and memory of an update are "
        "those of k2 steps; longer dependencies cannot be learned, though the state may still carry them. "
        "Published: Williams & Peng 1990, An efficient gradient-based algorithm for on-line training of recurrent "
        "network trajectories, Neural Computation 2(4)."
    )
    return page


def total_loss(steps: int) -> str:
    """The sum of the losses of all steps, abbreviated if long."""
    return " + ".join(f"L_{t}" if t else "…" for t in visible_steps(steps))


def _written_out(steps: int) -> str:
    return " + ".join(f"δa_{t} h_{t - 1}ᵀ" if t else "…" for t in visible_steps(steps))


def visible_steps(steps: int) -> list[int]:
    """The steps that fit a drawing, with a 0 in place of omitted ones."""
    if steps <= _MOST:
        return list(range(1, steps + 1))
    first = (_MOST - 1) // 2
    return [*range(1, first + 1), 0, *range(steps - (_MOST - first - 2), steps + 1)]


def unrolled(steps: int, *, backward: bool = False) -> str:
    """The network unrolled in time, at most 100 columns wide.

    >>> print(unrolled(2))
                  L_1           L_2
                   ↑             ↑
                  y_1           y_2
                   ↑             ↑
    h_0 ────────→ h_1 ────────→ h_2
                   ↑             ↑
                  x_1           x_2
    """
    columns = visible_steps(steps)
    d = "δ" if backward else ""
    up = "↓" if backward else "↑"

    def row(letter: str) -> str:
        return _row([f"{letter}_{t}" if t else "⋯" for t in columns])

    def arrows() -> str:
        return _row([up if t else "" for t in columns])

    states = [f"{d}h_{t}" if t else "⋯" for t in columns]
    line = f"{'ε' if backward else ''}h_0"
    for index, state in enumerate(states):
        start = _LEAD + index * _COLUMN + _COLUMN // 2 - len(state) // 2
        gap = start - len(line) - 2
        line += f" ←{'─' * (gap - 1)} {state}" if backward else f" {'─' * (gap - 1)}→ {state}"
    loss = row("L")
    return "\n".join([loss, arrows(), row(f"{d}y"), arrows(), line, arrows(), row(f"{d}x")])


def _row(texts: list[str]) -> str:
    line = ""
    for index, text in enumerate(texts):
        start = _LEAD + index * _COLUMN + _COLUMN // 2 - len(text) // 2
        line += " " * (start - len(line)) + text
    return line.rstrip()
