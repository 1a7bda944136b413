"""Random cells for hypothesis: any expression that the language of cells allows."""

from hypothesis import strategies as st

from gatewise.equations import (
    Cell,
    Expr,
    absolute,
    cell,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    sigmoid,
    sqrt,
    tanh,
    where,
)

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


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    """A cell of one or two states whose every value may use any earlier one, products of expressions included."""
    state_count = draw(st.integers(1, 2))
    length = draw(st.integers(1, 12))

    def equations(x: Expr, states: tuple[Expr, ...], groups: tuple[Expr, ...]) -> tuple[Expr, ...]:
        w, r, p = groups
        values = [w.a @ x, *states, p.a]
        matrices = ["b", "c", "d"]

        def value() -> Expr:
            return values[draw(st.integers(0, len(values) - 1))]

        for _ in range(length):
            match draw(st.integers(0, 5)):
                case 0:
                    values.append(draw(st.sampled_from(UNARY))(value()))
                case 1 | 2:
                    values.append(draw(st.sampled_from(BINARY))(value(), value()))
                case 3:
                    condition = draw(st.sampled_from(COMPARE))(value(), value())
                    values.append(where(condition, value(), value()))
                case 4:
                    values.append(value() * draw(st.sampled_from((-1.0, 0.0, 0.5, 1.0, 2.0))))
                case _ if matrices:
                    values.append(getattr(r, matrices.pop()) @ value())
                case _:
                    values.append(w.b @ x + value())
        # The returned values read everything, so that no name is unused.
        total = values[0] + (r.a @ states[0]) * (1 + p.b)
        for one in values[1:]:
            total = total + one
        outputs = (tanh(total), draw(st.sampled_from(values)))
        return outputs[:state_count]

    if state_count == 1:

        def random_cell(x, h, /, W, R, p):
            return equations(x, (h,), (W, R, p))
    else:

        def random_cell(x, h, c, /, W, R, p):
            return equations(x, (h, c), (W, R, p))

    return cell(cite="nobody, 2026")(random_cell)
