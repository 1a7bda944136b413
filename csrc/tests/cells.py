"""The cells that the driver runs: the built-in ones, and some whose stages no built-in one has."""

from collections.abc import Iterable

from gatewise.compiler.builtin import built_in
from gatewise.compiler.constants import symbol
from gatewise.compiler.emit import emit
from gatewise.compiler.program import Program
from gatewise.equations import cell, dropout, sigmoid, tanh, zoneout


@cell
def product_of_new_state(x, h, s, /, A, B, P, R, f):
    """A new state is made before any product, and multiplied in the same step."""
    s = B @ x + tanh(f) * s
    return sigmoid(P @ s + A @ x + R @ h), s


@cell
def product_of_old_state(x, h, s, /, A, B, P, f, b):
    """A new state is made before the old one is multiplied; some values from x have a bias, and some have not."""
    return tanh(P @ s + A @ x + b), B @ x + tanh(f) * s


@cell
def masked(x, h, c, /, W, R, b):
    """Masks of both kinds, in products and of states."""
    i = sigmoid(W.i @ x + R.i @ dropout(h, "h") + b.i)
    new = c + i * tanh(W.n @ x + R.n @ (i * h) + b.n)
    return zoneout(tanh(new), h, "kept_h"), zoneout(new, c, "kept_c")


@cell(widths={"h": "P", "s": "P"})
def of_two_widths(x, y, c, h, s, /, W, R, Q, V, U, p, b, e):
    """Projections that are not the output, with vectors, masks and work of their own width, and products with x."""
    i = sigmoid(W.i @ x + R.i @ dropout(h, "h") + b.i)
    c = i * tanh(W.n @ x + R.n @ (h * p + s) + b.n) + 0.5 * c
    new = tanh(V @ c + U.k @ x) + p * s
    return c - i * y, c, zoneout(new, h, "kept"), new * sigmoid(V @ tanh(c) + U.j @ x + e.j) + h - Q @ (h * s)


@cell(heads=("R", "Q"))
def of_heads(x, h, c, /, W, R, U, Q, p, b):
    """Matrices divided into heads beside whole ones: of states, of what a step makes, of parameters alone."""
    i = sigmoid(W.i @ x + R.i @ h + U.i @ c + b.i)
    n = tanh(W.n @ x + R.n @ (i * h) + R.m @ tanh(p) + b.n)
    c = i * n + Q @ (c * n)
    return tanh(U.o @ c + Q @ c), c


def driven() -> dict[str, Program]:
    """Their programs, by the beginning of their functions' names."""
    cells = [
        *built_in().values(),
        *((one, one.name) for one in (product_of_new_state, product_of_old_state, masked, of_two_widths, of_heads)),
    ]
    return {prefix: emit(one, prefix) for one, prefix in cells}


def table(prefixes: Iterable[str]) -> str:
    """C++ of the table of programs that the driver goes through."""
    constants = [symbol(prefix) for prefix in prefixes]
    return "\n".join(
        [
            '#include "program.h"',
            'namespace gatewise { extern "C" {',
            *(f"extern const Program {one};" for one in constants),
            "} }",
            "extern const gatewise::Program *const cells[];",
            f"const gatewise::Program *const cells[] = {{{', '.join(f'&gatewise::{one}' for one in constants)}}};",
            "extern const int64_t cell_count;",
            f"const int64_t cell_count = {len(constants)};\n",
        ]
    )
