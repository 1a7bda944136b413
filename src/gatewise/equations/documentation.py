"""The docstring of a cell, in sections: a summary, the role of each gate, notes, related cells."""

import inspect
from collections.abc import Sequence
from typing import NamedTuple

GATES, NOTES, RELATED = "Gates:", "Notes:", "See also:"


class Documentation(NamedTuple):
    """What a cell's docstring says.

    Attributes:
        summary: its first paragraph, on one line.
        description: the paragraphs between the summary and the first section.
        gates: the role of each gate by name, from the section ``Gates:``.
        notes: the paragraphs of the section ``Notes:``.
        related: names of other cells, from the section ``See also:``.
    """

    summary: str
    description: tuple[str, ...]
    gates: dict[str, str]
    notes: tuple[str, ...]
    related: tuple[str, ...]


def parse_docstring(doc: str, gates: Sequence[str]) -> Documentation:
    """Split a docstring into its sections, Google style.

    Args:
        doc: the docstring; with mathematics in backticks.
        gates: names of the cell's gates.

    Raises:
        ValueError: when the section ``Gates:`` has an entry without a name and a role, or for an unknown gate.

    >>> found = parse_docstring('''Leaky integrator.
    ...
    ... Gates:
    ...     f: forget gate: how much of the state
    ...         is kept
    ...
    ... See also: lstm
    ... ''', ["f"])
    >>> found.summary, found.gates, found.related
    ('Leaky integrator.', {'f': 'forget gate: how much of the state is kept'}, ('lstm',))
    """
    sections: dict[str, list[str]] = {"": []}
    title = ""
    for line in inspect.cleandoc(doc).splitlines():
        found = next((name for name in (GATES, NOTES, RELATED) if line.startswith(name)), None)
        if found is None:
            sections[title].append(line)
        else:
            title = found
            sections.setdefault(title, []).append(line.removeprefix(found))
    summary, *description = _paragraphs(sections[""]) or [""]
    return Documentation(
        summary=summary,
        description=tuple(description),
        gates=_roles(sections.get(GATES, []), gates),
        notes=tuple(_paragraphs(sections.get(NOTES, []))),
        related=tuple(name.strip(" .`") for name in " ".join(sections.get(RELATED, [])).split(",") if name.strip()),
    )


def _paragraphs(lines: Sequence[str]) -> list[str]:
    """Blocks of lines between empty ones, each on one line."""
    blocks = "\n".join(line.strip() for line in lines).split("\n\n")
    return [" ".join(block.split()) for block in blocks if block.strip()]


def _roles(lines: Sequence[str], gates: Sequence[str]) -> dict[str, str]:
    """The entries ``name: role``; deeper lines continue the entry above."""
    entries = [line for line in lines if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in entries), default=0)
    roles: dict[str, str] = {}
    name = ""
    for line in entries:
        if line[indent].isspace() and name:
            roles[name] += f" {line.strip()}"
            continue
        name, colon, role = (part.strip() for part in line.partition(":"))
        if not colon or not role:
            raise ValueError(f"docstring: expected 'gate: role' in the section {GATES} got {line.strip()!r:.60}")
        if name not in gates:
            known = f"its gates are {', '.join(gates)}" if gates else "it has no gates"
            raise ValueError(f"docstring: the section {GATES} names {name!r}, which is not a gate of the cell; {known}")
        roles[name] = role
    return roles
