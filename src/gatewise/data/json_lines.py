"""JSON lines: an object on each line."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from gatewise.data.cells import shortened


def json_objects(where: object, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    r"""The objects of JSON lines, each with its line; blank lines are skipped.

    Args:
        where: what to call the text.
        text: the lines.

    Raises:
        ValueError: for a line that is not a JSON object, or has a member twice; with its location.

    >>> list(json_objects("a.jsonl", '{"text": "a"}\n\n{"text": "b"}\n'))
    [(1, {'text': 'a'}), (3, {'text': 'b'})]
    """
    yield from objects_in(where, text.split("\n"))


def objects_in(where: object, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of lines, as `json_objects`."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, json_object(f"{where}: line {number}", line)


def json_object(where: str, line: str) -> dict[str, Any]:
    """The object that a line of JSON is.

    Raises:
        ValueError: as `json_objects`.
    """
    try:
        found: Any = json.loads(line, object_pairs_hook=_members)
    except RecursionError:
        raise ValueError(f"{where}: nested too deeply; expected a JSON object of values") from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{where}: not JSON: {error.msg} at character {error.pos + 1}; each line must be a whole object"
        ) from None
    except ValueError as error:  # a member that is there twice, a number of too many digits
        raise ValueError(f"{where}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{where}: expected a JSON object, got {type(found).__name__} {shortened(found)}")
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the object has {twice!r} twice")
    return found
