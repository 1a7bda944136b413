"""A cell as text, and back: one line per node of its graph, nothing to execute.

The text travels in pickles, checkpoints and operator calls, and keys compiled kernels, so it is the same for the
same equations on every machine, and its version is checked on reading.
"""

import json
import re
from typing import TypedDict

from gatewise.equations.expression import COMPARISONS, Expr, Mask, Parameter, Width, constant, topological
from gatewise.equations.heads import check_heads
from gatewise.equations.initial_values import InitialValues, initial_values
from gatewise.equations.masks import masks_of
from gatewise.equations.operations import OPERATIONS
from gatewise.equations.tracing import ParameterError, check_parameters, parameter_kinds
from gatewise.equations.widths import Size, check_projection, check_widths

FIRST_LINE = "gatewise cell 1"
# Number of operands of the nodes that are not elementwise.
_STRUCTURE = {"input": 0, "state": 0, "parameter": 0, "constant": 0, "mask": 0, "units": 0, "matmul": 2, "sum": 1}


class Fields(TypedDict):
    """The fields of a cell."""

    name: str
    cite: str
    doc: str
    states: tuple[str, ...]
    groups: tuple[str, ...]
    gates: tuple[str, ...]
    outputs: tuple[Expr, ...]
    initial: InitialValues
    widths: tuple[Size, ...]
    heads: tuple[str, ...]


def header_text(name: str, cite: str, doc: str, initial: InitialValues) -> str:
    """The lines of metadata, which do not affect what a cell computes."""
    text = f"{FIRST_LINE}\nname {json.dumps(name)}\ncite {json.dumps(cite)}\ndoc {json.dumps(doc)}\n"
    values = {str(block): value for block, value in initial}
    return text + (f"initial {json.dumps(values)}\n" if values else "")


def equations_text(
    states: tuple[str, ...],
    groups: tuple[str, ...],
    gates: tuple[str, ...],
    outputs: tuple[Expr, ...],
    widths: tuple[Size, ...],
    heads: tuple[str, ...],
) -> str:
    """The lines of the computation: names, then one node per line, operands before users, then the returned values.

    A state whose width is not H is followed by it, as ``h:P``, and a group that is divided into heads as ``R:heads``.
    """
    named = (name if width == "H" else f"{name}:{width}" for name, width in zip(states, widths, strict=True))
    stacked = (f"{group}:heads" if group in heads else group for group in groups)
    lines = [f"states {' '.join(named)}", f"groups {' '.join(stacked)}", " ".join(("gates", *gates))]
    names: dict[Expr, str] = {}
    for node in topological(outputs):
        names[node] = f"%{len(names)}"
        payload = repr(node.attr) if isinstance(node.attr, float) else "" if node.attr is None else str(node.attr)
        operands = [names[arg] for arg in node.args]
        lines.append(" ".join(word for word in (names[node], "=", node.op, payload, *operands) if word))
    lines.append(" ".join(("return", *(names[output] for output in outputs))))
    return "\n".join(lines) + "\n"


def parse(text: str) -> Fields:
    """The fields of the cell that a text describes.

    Raises:
        ValueError: naming the line, when the text is not a cell of this version.
    """
    lines = text.splitlines()
    if not lines or lines[0] != FIRST_LINE:
        first = lines[0] if lines else ""
        raise ValueError(f"not the text of a cell: expected the first line {FIRST_LINE!r}, got {first!r:.60}")
    try:
        name, cite, doc = (_quoted(lines[number], word) for number, word in ((1, "name"), (2, "cite"), (3, "doc")))
        declares = lines[4].startswith("initial ")
        declared = json.loads(lines.pop(4).removeprefix("initial ")) if declares else {}
        states, declared_widths = _declared(lines[4], "states")
        groups, divided = _declared(lines[5], "groups")
        gates = _words(lines[6], "gates")
    except IndexError:
        raise ValueError("the text of a cell ends before its equations; it was truncated") from None
    nodes: dict[str, Expr] = {}
    outputs: tuple[Expr, ...] | None = None
    for number, line in enumerate(lines[7:], start=8 + declares):
        if outputs is not None:
            raise ValueError(f"line {number} of the text of cell {name}: nothing may follow the return line")
        words = line.split()
        try:
            if words[0] == "return":
                outputs = tuple(nodes[word] for word in words[1:])
            else:
                nodes[words[0]] = _node(words, nodes, states, groups)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ValueError(
                f"line {number} of the text of cell {name} is not a node: {line!r:.80} ({error})"
            ) from None
    if outputs is None or len(outputs) != len(states) or not states:
        raise ValueError(f"the text of cell {name} must return one value per state; it was truncated or changed")
    try:
        check_parameters(outputs, groups, ())
        used = {block.gate for block in parameter_kinds(outputs) if block.gate is not None}
    except ParameterError as error:
        raise ValueError(f"the text of cell {name}: {error}") from None
    if used != set(gates) or len(set(gates)) != len(gates):
        raise ValueError(f"the text of cell {name} lists the gates {gates}, but its equations use {sorted(used)}")
    try:
        masks_of(outputs)
        initial = initial_values(outputs, declared)
        widths = check_widths(states, declared_widths)
        found = check_projection(states, groups, outputs, widths)
        if wrong := [group for group, word in divided.items() if word != "heads"]:
            raise ValueError(f"expected {wrong[0]}:heads, got {wrong[0]}:{divided[wrong[0]]}")
        heads = check_heads(divided, groups, found)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"the text of cell {name}: {error}") from None
    return Fields(
        name=name,
        cite=cite,
        doc=doc,
        states=states,
        groups=groups,
        gates=gates,
        outputs=outputs,
        initial=initial,
        widths=widths,
        heads=heads,
    )


def _declared(line: str, of: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The names of a line, and what is declared of those that a colon follows."""
    words = [word.partition(":") for word in line.split()[1:]]
    names = _words(" ".join((*line.split()[:1], *(name for name, _, _ in words))), of)
    return names, {name: declared for name, colon, declared in words if colon}


def _quoted(line: str, word: str) -> str:
    key, _, rest = line.partition(" ")
    value = json.loads(rest) if key == word else None
    if not isinstance(value, str):
        raise ValueError(f"the text of a cell: expected a line {word!r} with a quoted text, got {line!r:.80}")
    return value


def _words(line: str, word: str) -> tuple[str, ...]:
    key, *words = line.split()
    if key != word or not all(re.fullmatch(r"[^\W\d]\w*", name) for name in words):
        raise ValueError(f"the text of a cell: expected a line {word!r} with names, got {line!r:.80}")
    return tuple(words)


def _node(words: list[str], nodes: dict[str, Expr], states: tuple[str, ...], groups: tuple[str, ...]) -> Expr:
    target, equals, op, *rest = words
    if equals != "=" or not re.fullmatch(r"%\d+", target) or op not in {**_STRUCTURE, **OPERATIONS}:
        known = ", ".join((*_STRUCTURE, *OPERATIONS))
        raise ValueError(f"expected '%n = operation operands', with one of {known}")
    if op == "constant":
        return constant(float(rest[0]))
    if op == "state":
        if rest[0] not in states:
            raise ValueError(f"no state is named {rest[0]}")
        return Expr.make("state", attr=rest[0])
    if op == "parameter":
        group, _, gate = rest[0].partition(".")
        if group not in groups:
            raise ValueError(f"no group is named {group}")
        return Expr.make("parameter", attr=Parameter(group, gate or None))
    if op == "mask":
        kind, mask = rest
        if kind not in ("dropout", "zoneout") or not re.fullmatch(r"[^\W\d]\w*", mask):
            raise ValueError("expected 'mask dropout name' or 'mask zoneout name'")
        return Expr.make("mask", attr=Mask(kind, mask))
    args = tuple(nodes[word] for word in rest)
    arity = OPERATIONS[op].arity if op in OPERATIONS else _STRUCTURE[op]
    if len(args) != arity:
        raise ValueError(f"{op} takes {arity} operands")
    for position, arg in enumerate(args):
        if (arg.op in COMPARISONS) != (op == "where" and position == 0):
            raise ValueError("a comparison can only be the first operand of where")
        if arg.op == "input" and (op, position) != ("matmul", 1):
            raise ValueError("x can only be the right operand of a product")
    if op == "matmul" and args[0].op != "parameter":
        raise ValueError("the left operand of a product must be a parameter")
    if op == "sum" and args[0].width is not Width.UNITS:
        raise ValueError("a sum over units takes an operand of width H")
    if op == "matmul" and args[1].width is Width.ROW:
        raise ValueError("the right operand of a product must have width H")
    return Expr.make(op, *args)
