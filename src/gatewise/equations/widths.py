"""How wide the values of a cell are: H, or P where the definition declares a state of that width.

The widths of states are declared; those of matrices, vectors and masks follow from their use with states, and are H
where nothing says otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from gatewise.equations.expression import Expr, Mask, Parameter, Width, topological

Size: TypeAlias = Literal["I", "H", "P"]
"""I: of the input; H: hidden; P: of a projection."""


class Widths(NamedTuple):
    """The widths of a cell's values.

    Attributes:
        states: by name.
        rows: of the blocks of each parameter group.
        columns: of the groups that are matrices.
        masks: of each mask.
    """

    states: Mapping[str, Size]
    rows: Mapping[str, Size]
    columns: Mapping[str, Size]
    masks: Mapping[Mask, Size]

    def of(self, node: Expr) -> Size:
        """The width of an expression of the cell, or of its gradient; H for a number."""
        while True:
            if node.op in ("state", "gradient"):
                return self.states[str(node.attr)]
            if isinstance(node.attr, Parameter):
                return self.rows[node.attr.group]
            if isinstance(node.attr, Mask):
                return self.masks[node.attr]
            if node.op in ("matmul", "matmul_transposed"):
                return self.of_matrix(node)[node.op == "matmul_transposed"]
            wide = [arg for arg in node.args if arg.width is Width.UNITS]
            if node.op in ("norm", "norm_transposed") or not wide:
                return "H"
            node = wide[0]

    def of_matrix(self, product: Expr) -> tuple[Size, Size]:
        """The rows and columns of the matrix of a product."""
        group = _group(product.args[0])
        return self.rows[group], self.columns[group]


def check_widths(states: Sequence[str], declared: Mapping[str, str]) -> tuple[Size, ...]:
    """The width of each state, as declared.

    Raises:
        TypeError, ValueError: for a name that is not a state's, or a width other than H and P.
    """
    for state, width in declared.items():
        if state not in states:
            raise ValueError(f"widths: the cell has no state {state!r}; its states are {', '.join(states)}")
        if width not in ("H", "P"):
            raise ValueError(f"widths: expected 'H' or 'P', the width of a projection, for {state}, got {width!r}")
    return tuple("P" if declared.get(state) == "P" else "H" for state in states)


def widths_of(outputs: Sequence[Expr], states: Mapping[str, Size]) -> Widths:
    """The widths of a cell's values.

    Args:
        outputs: the cell's, one for each state.
        states: the widths of the states, in their order.

    Raises:
        ValueError: when values of two widths are combined, or a matrix is used with two.
    """
    same = _Classes()
    for node in topological(outputs):
        if node.op == "state":
            same.know(node, states[str(node.attr)], f"the state {node.attr}")
        elif node.op == "sum":
            same.know(_key(node.args[0]), "H", "a sum or norm over units")
        elif node.op == "matmul":
            group = _group(node.args[0])
            same.join(node, _rows(group))
            if node.args[1].op == "input":
                same.know(_columns(group), "I", "x")
            elif node.args[1].width is Width.UNITS:
                same.join(_key(node.args[1]), _columns(group))
        elif node.width is Width.UNITS and node.args:
            for arg in node.args:
                if arg.width is Width.UNITS:
                    same.join(node, _key(arg))
    for (state, width), output in zip(states.items(), outputs, strict=True):
        if output.width is Width.UNITS:
            same.know(_key(output), width, f"the value returned for {state}")
    leaves = [node for node in topological(outputs) if isinstance(node.attr, Parameter | Mask)]
    groups = dict.fromkeys(node.attr.group for node in leaves if isinstance(node.attr, Parameter))
    matrices = dict.fromkeys(_group(node.args[0]) for node in topological(outputs) if node.op == "matmul")
    return Widths(
        dict(states),
        {group: same.size(_rows(group)) for group in groups},
        {group: same.size(_columns(group)) for group in matrices},
        {node.attr: same.size(node) for node in leaves if isinstance(node.attr, Mask)},
    )


def check_projection(
    states: Sequence[str], groups: Sequence[str], outputs: Sequence[Expr], widths: Sequence[Size]
) -> Widths:
    """The widths of a cell's values, checked.

    Raises:
        ValueError: when they do not fit, or no parameter has the declared width P.
    """
    found = widths_of(outputs, dict(zip(states, widths, strict=True)))
    if "P" in widths and projection_group(found, groups) is None:
        named = ", ".join(state for state, width in zip(states, widths, strict=True) if width == "P")
        raise ValueError(f"widths: {named} has the width P of a projection, but no parameter has it: write V @ m")
    return found


def projection_group(widths: Widths, groups: Iterable[str]) -> tuple[str, int] | None:
    """A group whose tensor has an axis of width P, and the axis; None if there is none."""
    for group in groups:
        if widths.rows[group] == "P":
            return group, 0
        if widths.columns.get(group) == "P":
            return group, 1
    return None


def _group(leaf: Expr) -> str:
    assert isinstance(leaf.attr, Parameter)
    return leaf.attr.group


# What stands for the rows and the columns of a group; its blocks have the same shape.
def _rows(group: str) -> Expr:
    return Expr.make("parameter", attr=Parameter(group, None))


def _columns(group: str) -> Expr:
    return Expr.make("parameter", attr=Parameter(f"columns of {group}", None))


def _key(node: Expr) -> Expr:
    return _rows(node.attr.group) if isinstance(node.attr, Parameter) else node


class _Classes:
    """Values of the same width (a union-find structure), with the width of each class and what says so."""

    def __init__(self) -> None:
        self._above: dict[Expr, Expr] = {}
        self._known: dict[Expr, tuple[Size, str]] = {}

    def _find(self, key: Expr) -> Expr:
        while key in self._above:
            key = self._above[key]
        return key

    def know(self, key: Expr, size: Size, source: str) -> None:
        root = self._find(key)
        before, reason = self._known.setdefault(root, (size, source))
        if before != size:
            raise ValueError(
                f"{reason}, of width {before}, and {source}, of width {size}, are used as one width; elementwise "
                "operations take values of the same width, and a matrix times a value makes one of another width"
            )

    def join(self, first: Expr, second: Expr) -> None:
        one, other = self._find(first), self._find(second)
        if one is other:
            return
        self._above[other] = one
        if (known := self._known.pop(other, None)) is not None:
            self.know(one, *known)

    def size(self, key: Expr) -> Size:
        return self._known.get(self._find(key), ("H", ""))[0]
