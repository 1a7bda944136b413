"""A recurrent cell: its equations as a graph, and the properties derived from them."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

from gatewise.equations import canonical
from gatewise.equations.documentation import Documentation, parse_docstring
from gatewise.equations.expression import COMPARISONS, Expr, Mask, Parameter, topological
from gatewise.equations.heads import check_heads
from gatewise.equations.initial_values import InitialValues, initial_values
from gatewise.equations.masks import masks_of
from gatewise.equations.operations import activation
from gatewise.equations.tracing import definition_error, parameter_kinds, trace
from gatewise.equations.widths import Size, Widths, check_projection, check_widths, projection_group, widths_of


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell, defined by its equations.

    Created by `cell` from a function, or by `Cell.from_text` from its canonical text.

    Attributes:
        name: the function's name.
        cite: where the equations are published.
        doc: the function's docstring.
        states: names of the states; the first is the output.
        groups: names of the parameter groups, as in the signature.
        gates: names of the gates in order of first appearance; every stacked tensor has this order.
        outputs: for each state, the expression of its value at t in terms of x_t and the states at t−1.
        initial: initial values of vectors that the definition declares, by block.
        widths: of each state: ``H``, or ``P`` where it is declared to be a projection; empty stands for H alone.
        heads: the groups whose matrices are block-diagonal, with as many blocks as the layer has heads.
        equations: the canonical text of the equations alone; equal for cells that compute the same from the same
            layout of parameters.
        text: the canonical text of the whole cell; `from_text` reads it.
    """

    name: str
    cite: str
    doc: str
    states: tuple[str, ...]
    groups: tuple[str, ...]
    gates: tuple[str, ...]
    outputs: tuple[Expr, ...] = field(repr=False)
    initial: InitialValues = field(default=(), repr=False)
    widths: tuple[Size, ...] = field(default=(), repr=False)
    heads: tuple[str, ...] = field(default=(), repr=False)
    equations: str = field(init=False, repr=False)
    text: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.widths:
            object.__setattr__(self, "widths", ("H",) * len(self.states))
        equations = canonical.equations_text(
            self.states, self.groups, self.gates, self.outputs, self.widths, self.heads
        )
        object.__setattr__(self, "equations", equations)
        object.__setattr__(
            self, "text", canonical.header_text(self.name, self.cite, self.doc, self.initial) + equations
        )

    @classmethod
    def from_text(cls, text: str) -> "Cell":
        """The cell that a canonical text describes; nothing in the text is executed.

        Raises:
            ValueError: when the text is not a cell of a known version.

        >>> from gatewise.cells import lookup
        >>> Cell.from_text(lookup("lstm").text) == lookup("lstm")
        True
        """
        return cls(**canonical.parse(text))

    @classmethod
    def from_equations(cls, equations: str) -> "Cell":
        """A cell with these `equations` and without a name, citation or docstring."""
        return cls.from_text(canonical.header_text("", "", "", ()) + equations)

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[Callable[[str], "Cell"], tuple[str]]:
        return Cell.from_text, (self.text,)

    def __copy__(self) -> "Cell":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "Cell":
        return self

    @cached_property
    def documentation(self) -> Documentation:
        """The sections of the docstring: summary, roles of the gates, notes, related cells."""
        return parse_docstring(self.doc, self.gates)

    @cached_property
    def masks(self) -> tuple[Mask, ...]:
        """The masks of the equations, in order of first use; see `dropout` and `zoneout`."""
        return masks_of(self.outputs)

    @cached_property
    def _kinds(self) -> dict[Parameter, str]:
        return parameter_kinds(self.outputs)

    @cached_property
    def _gates(self) -> dict[str, tuple[str | None, ...]]:
        gates: dict[str, tuple[str | None, ...]] = {}
        for group in self.groups:
            used = {block.gate for block in self._kinds if block.group == group}
            gates[group] = (None,) if used == {None} else tuple(gate for gate in self.gates if gate in used)
        return gates

    @cached_property
    def sizes(self) -> Widths:
        """The widths of all values: of states, parameters, masks and expressions."""
        return widths_of(self.outputs, dict(zip(self.states, self.widths, strict=True)))

    @cached_property
    def projected(self) -> bool:
        """Whether a state has the width P of a projection."""
        return "P" in self.widths

    @cached_property
    def projection_axis(self) -> tuple[int, int]:
        """The number of a group whose tensor has an axis of width P, in blocks of gates, and the axis."""
        found = projection_group(self.sizes, self.groups)
        assert found is not None
        return self.groups.index(found[0]), found[1]

    @cached_property
    def hidden_group(self) -> int:
        """The number of a group whose blocks have H rows."""
        return next((k for k, group in enumerate(self.groups) if self.sizes.rows[group] == "H"), 0)

    def shape_of(self, group: str) -> str:
        """The kind of a group: ``input`` (blocks of H rows, I columns), ``recurrent`` (H, H) or ``vector`` (H,).

        In a cell with a state of width P a matrix may have P columns (still ``recurrent``) or P rows (``projection``),
        and a vector P values.

        Raises:
            KeyError: for an unknown group.
        """
        return self._shapes[group]

    @cached_property
    def _shapes(self) -> dict[str, str]:
        shapes = {block.group: kind for block, kind in self._kinds.items()}
        for group, kind in shapes.items():
            if kind == "recurrent" and self.sizes.rows[group] == "P" and self.sizes.columns[group] == "H":
                shapes[group] = "projection"
        return shapes

    def gates_of(self, group: str) -> tuple[str | None, ...]:
        """The gates whose blocks a group stacks, in the cell's gate order; ``(None,)`` for a group without gates."""
        return self._gates[group]

    def parameter_shape(
        self, group: str, input_size: int, hidden_size: int, projection_size: int = 0, heads: int = 1
    ) -> tuple[int, ...]:
        """The shape of a group's stacked tensor: (G·H, I), (G·H, H) or (G·H,), with P for H in its place.

        Matrices divided into n heads are (G·H, H/n): the row of a unit has the weights of the units of its head.

        >>> from gatewise.cells import lookup
        >>> lookup("lstm").parameter_shape("W", input_size=10, hidden_size=20)
        (80, 10)
        """
        sizes = {"I": input_size, "H": hidden_size, "P": projection_size}
        rows = len(self.gates_of(group)) * sizes[self.sizes.rows[group]]
        if self.shape_of(group) == "vector":
            return (rows,)
        return rows, sizes[self.sizes.columns[group]] // (heads if group in self.heads else 1)

    def gate_value(self, gate: str) -> Expr:
        """The expression of a gate's value: the activation of the sum of all its parameter blocks.

        Raises:
            KeyError: for an unknown gate.
        """
        if gate not in self.gates:
            raise KeyError(gate)
        # What a value adds to a sum over units, and so to other gates, is not part of its own gate.
        nodes = topological(self.outputs, lambda node: () if node.op == "sum" else node.args)
        users: dict[Expr, list[Expr]] = {node: [] for node in nodes}
        for node in nodes:
            for arg in () if node.op == "sum" else node.args:
                users[arg].append(node)
        roots = set(self.outputs)
        # Every path from a node to a returned value passes through its dominators.
        dominators: dict[Expr, set[Expr]] = {}
        for node in reversed(nodes):
            above = [dominators[user] for user in users[node]]
            common = set.intersection(*above) if above and node not in roots else set()
            dominators[node] = common | {node}
        blocks = [node for node in nodes if isinstance(node.attr, Parameter) and node.attr.gate == gate]
        shared = set.intersection(*(dominators[block] for block in blocks))
        join = next((node for node in nodes if node in shared and node.op not in COMPARISONS), blocks[0])
        while (join.op == "parameter" or join.op in COMPARISONS) and users[join]:
            join = users[join][0]
        followers = set(users[join])
        if len(followers) == 1 and join not in roots:
            (follower,) = followers
            if activation(follower):
                return follower
        return join


@overload
def cell(function: Callable[..., object], /) -> Cell: ...
@overload
def cell(
    *,
    cite: str = "",
    initial: Mapping[str, float] | None = None,
    widths: Mapping[str, str] | None = None,
    heads: Collection[str] = (),
) -> Callable[[Callable[..., object]], Cell]: ...
def cell(
    function: Callable[..., object] | None = None,
    /,
    *,
    cite: str = "",
    initial: Mapping[str, float] | None = None,
    widths: Mapping[str, str] | None = None,
    heads: Collection[str] = (),
) -> Cell | Callable[[Callable[..., object]], Cell]:
    """Make a `Cell` from a function that computes one time step.

    The function takes x and the states before a ``/`` and the parameter groups after it, and returns the new value
    of each state, the output first. It is called once, with symbols as arguments. A parameter's shape follows from its
    use: ``W.i @ x`` makes ``W`` a stack of (H, I) blocks, ``R.i @ h`` of (H, H), anything else of vectors (H,).

    Args:
        cite: where the equations are published.
        initial: initial values of vectors, by block, such as ``{"b.f": 1}``, or by group for all its blocks. They hold
            for every scheme of `gatewise.Init`, those of biases not for ``torch``; biases that an `Init` sets itself go
            before them.
        widths: the states whose width is not H: ``{"h": "P"}`` for a projection of width P, the layer's ``proj_size``.
            Elementwise operations take values of one width, and a matrix times a value makes one of another.
        heads: the groups of (H, H) matrices that are block-diagonal, such as ``("R",)``: with the layer's ``heads=n``
            the states are n heads of H/n units, and ``R @ h`` multiplies each head by a block of its own, (H/n, H/n).

    Returns:
        The cell, for `gatewise.Recurrent` and `gatewise.explain`.

    Raises:
        TypeError: for anything but a function.
        DefinitionError: for a function that does not define a cell, with file, line and what to change.

    >>> from gatewise.equations import cell, sigmoid, tanh
    >>> @cell(cite="Zhou et al. 2016, arXiv:1603.09420")
    ... def minimal_gated_unit(x, h, /, W, R, b):
    ...     f = sigmoid(W.f @ x + R.f @ h + b.f)
    ...     n = tanh(W.n @ x + R.n @ (f * h) + b.n)
    ...     return (1 - f) * h + f * n
    >>> minimal_gated_unit.gates
    ('f', 'n')
    """

    def make(function: Callable[..., object]) -> Cell:
        traced = trace(function)
        doc = inspect.cleandoc(function.__doc__ or "").strip()
        try:
            parse_docstring(doc, traced.gates)
        except ValueError as error:
            raise definition_error(function, str(error)) from None
        try:
            masks_of(traced.outputs)
            declared = initial_values(traced.outputs, initial or {})
            of_states = check_widths(traced.states, widths or {})
            found = check_projection(traced.states, traced.groups, traced.outputs, of_states)
            divided = check_heads(heads, traced.groups, found)
        except (TypeError, ValueError) as error:
            raise definition_error(function, str(error)) from None
        return Cell(
            function.__name__,
            cite,
            doc,
            traced.states,
            traced.groups,
            traced.gates,
            traced.outputs,
            declared,
            of_states,
            divided,
        )

    if function is None:
        return make
    if not inspect.isroutine(function):
        hint = "; a citation is a keyword argument, cite=" if isinstance(function, str) else ""
        raise TypeError(f"cell: expected a function of one time step, got {type(function).__name__}{hint}")
    return make(function)
