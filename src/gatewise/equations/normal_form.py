"""Whether two cells compute the same function of the same parameter blocks, whatever the order of their lines."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from gatewise.equations.cell import Cell
from gatewise.equations.expression import Expr, topological

_COMMUTATIVE = frozenset({"add", "mul", "minimum", "maximum", "eq", "ne"})
_ASSOCIATIVE = frozenset({"add", "mul"})


@lru_cache(maxsize=256)
def normal_form(cell: Cell) -> str:
    """A hash of the equations that ignores the order of gates, operands and terms, and the names of states.

    Equal for cells that compute the same function (up to rounding) from blocks of the same names. The stacked tensors
    of such cells may still differ in the order of their gates.

    >>> from gatewise.equations import cell, tanh
    >>> @cell
    ... def one(x, h, /, W, R, b):
    ...     return tanh(W @ x + R @ h + b)
    >>> @cell
    ... def other(x, s, /, W, R, b):
    ...     return tanh(b + R @ s + W @ x)
    >>> normal_form(one) == normal_form(other)
    True
    """
    nodes = topological(cell.outputs)
    users = Counter(arg for node in nodes for arg in node.args)
    users.update(cell.outputs)
    terms: dict[Expr, list[str]] = {}
    digests: dict[Expr, str] = {}
    for node in nodes:
        operands: list[str] = []
        for arg in node.args:
            # Only nodes with one user are expanded, so that the work stays proportional to the graph.
            if node.op in _ASSOCIATIVE and arg.op == node.op and users[arg] == 1:
                operands += terms[arg]
            else:
                operands.append(digests[arg])
        terms[node] = sorted(operands) if node.op in _COMMUTATIVE else operands
        payload = cell.states.index(str(node.attr)) if node.op == "state" else repr(node.attr)
        digests[node] = _hash([node.op, payload, *terms[node]])
    declared = [*(cell.widths if cell.projected else ()), *cell.heads]
    return _hash([digests[output] for output in cell.outputs] + declared)


def _hash(content: Sequence[object]) -> str:
    return sha256(json.dumps(content).encode()).hexdigest()
