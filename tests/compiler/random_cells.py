"""Random cells for hypothesis: any expression that the language of cells allows."""

import inspect
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st

from gatewise.equations import (
    Cell,
    Expr,
    absolute,
    cell,
    exp,
    expm1,
    layer_norm,
    log,
    log1p,
    log_sigmoid,
    maximum,
    mean,
    minimum,
    relu,
    rms_norm,
    sigmoid,
    sqrt,
    tanh,
    where,
)
from gatewise.equations import sum as over_units

# Arguments of functions with a pole or an edge are kept away from it, where neither side has a derivative to compare.
UNARY = (
    lambda a: -a,
    absolute,
    relu,
    sigmoid,
    tanh,
    lambda a: exp(tanh(a)),
    lambda a: expm1(tanh(a)),
    lambda a: log(1.5 + tanh(a)),
    lambda a: log1p(a * a),
    log_sigmoid,
    lambda a: sqrt(1 + a * a),
)
BINARY = (
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (2 + tanh(b)),
    minimum,
    maximum,
)
COMPARE = (
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: a == b,
    lambda a, b: a != b,
)


# Signs and scalings, of either side.
SCALED = (
    lambda a: -a,
    lambda a: 0.0 * a,
    lambda a: a * 0.5,
    lambda a: a * 2.0,
    lambda a: -0.1 * a,
    lambda a: a / -3.0,
    lambda a: 1 - a,
    lambda a: a - 0.25,
    lambda a: 0.5 / (2 + tanh(a)),
)
# How what was computed enters what is returned; where, minimum and maximum hide a part of it.
COMBINED = (
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: b - a,
    lambda a, b: a + 0.1 * (tanh(b) - a),
    lambda a, b: (1 - sigmoid(b)) * a,
    lambda a, b: a / (2 + tanh(b)),
    lambda a, b: where(a < b, a, -b),
    minimum,
    maximum,
)
# Expressions of a value that has a width, with sums over units.
REDUCED = (
    lambda a: a - mean(a),
    lambda a: a * over_units(0.1 * a),
    lambda a: layer_norm(a, eps=1.0),
    lambda a: rms_norm(a, eps=0.5),
    lambda a: where(a < mean(a), 0.5 * a, over_units(a) / 5),
    lambda a: sigmoid(mean(tanh(a) * a)) * a + mean(a),
    lambda a: layer_norm((a, tanh(a)), eps=1.0)[1],
)
STATES = ("h", "c", "s")
# A matrix whose elements are all 1/H, where tests fill the parameters: a product with it is the mean over units.
MEAN = "M"


def normalised(mean: Expr, a: Expr, epsilon: float) -> Expr:
    """Layer normalisation of a value, with a matrix of 1/H."""
    centred = a - mean @ a
    return centred / sqrt(mean @ (centred * centred) + epsilon)


@st.composite
def cells(draw: st.DrawFn, longest: int = 12, reductions: bool = False) -> Cell:
    """A cell of up to three states whose every value may use any earlier one, products of expressions included.

    With ``reductions`` also sums and norms over units. The matrices R may be divided into heads.

    A product may be used several times, and a block by several products; expressions of parameters and of constants
    alone grow beside the others; states are changed, exchanged or passed through.
    """
    states = STATES[: draw(st.integers(1, 3))]
    with_mean = draw(st.booleans())
    groups = ("W", "R", "p", MEAN) if with_mean else ("W", "R", "p")
    length = draw(st.integers(1, longest))

    def pick(values: Sequence[Expr]) -> Expr:
        recent = values[-3:] if draw(st.booleans()) else values
        return recent[draw(st.integers(0, len(recent) - 1))]

    def equations(x: Expr, *rest: Expr) -> tuple[Expr, ...]:
        past, (w, r, p, *mean) = rest[: len(states)], rest[len(states) :]
        loop_invariant = [p.a, p.b, *draw(st.lists(st.sampled_from((exp(-0.5), sigmoid(1.0))), max_size=1))]
        values = [w.a @ x, r.a @ past[0], *past, p.a]
        for _ in range(length):
            if reductions and draw(st.integers(0, 3)) == 0:
                values.append(draw(st.sampled_from(REDUCED))(pick(values)))
                continue
            match draw(st.integers(0, 9)):
                case 0:
                    values.append(draw(st.sampled_from(UNARY))(pick(values)))
                case 1 | 2:
                    values.append(draw(st.sampled_from(BINARY))(pick(values), pick(values)))
                case 3:
                    condition = draw(st.sampled_from(COMPARE))(pick(values), pick(values))
                    values.append(where(condition, pick(values), pick(values)))
                case 4:
                    values.append(draw(st.sampled_from(SCALED))(pick(values)))
                case 5 | 6:
                    values.append(getattr(r, draw(st.sampled_from("bcd"))) @ pick(values))
                case 7:
                    product = getattr(w, draw(st.sampled_from("bcd"))) @ x
                    values.append(draw(st.sampled_from(BINARY))(product, pick(values)))
                case 8:
                    alone = draw(st.sampled_from(BINARY))(pick(loop_invariant), pick(loop_invariant))
                    loop_invariant.append(draw(st.sampled_from((lambda a: a, lambda a: r.b @ a, *UNARY)))(alone))
                    values.append(draw(st.sampled_from(BINARY))(loop_invariant[-1], pick(values)))
                case _ if mean:
                    values.append(normalised(mean[0], pick(values), draw(st.sampled_from((1e-3, 1.0)))))
                case _:
                    values.append(tanh(pick(values)))
        if mean:
            values.append(normalised(mean[0], pick(values), 1.0))
        # What is returned reads everything, so that no name is unused.
        total = values[0]
        for one in (*values[1:], *loop_invariant):
            total = draw(st.sampled_from(COMBINED))(total, one)
        outputs = [draw(st.sampled_from((tanh(total), -sigmoid(total), past[0] + 0.1 * (tanh(total) - past[0]))))]
        while len(outputs) < len(states):
            outputs.append(draw(st.sampled_from((*values, *past, *past, tanh(pick(values))))))
        return tuple(draw(st.permutations(outputs)))

    equations.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in ("x", *states)]
        + [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in groups]
    )
    equations.__name__ = "random_cell"
    return cell(cite="unpublished, 2026", heads="R" if draw(st.booleans()) else ())(equations)


def some_cells(count: int, seed: int, *, reductions: bool = False) -> list[Cell]:
    """Different random cells, the same for the same seed; one that hypothesis draws twice is there once."""
    found: dict[str, Cell] = {}

    @with_seed(seed)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(cells(reductions=reductions))
    def collect(made: Cell) -> None:
        found.setdefault(made.equations, made)

    collect()
    return list(found.values())
