"""Several vocabularies in one JSON document: what a run needs to turn its data into numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from gatewise.data.categories import Categories
from gatewise.data.characters import CharacterVocabulary
from gatewise.data.labels import Labels, MostFrequent
from gatewise.data.scaling import Scaling
from gatewise.data.subwords import BytePairVocabulary
from gatewise.data.tokens import TokenVocabulary

FORMAT, VERSION = "gatewise-vocabularies", 1


MALFORMED = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading a JSON document of another form may raise."""


class Part(Protocol):
    """What can be kept: its kind and its content as JSON values."""

    unit: ClassVar[str]

    def content(self) -> dict[str, Any]: ...
    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self: ...


def to_json(parts: Mapping[str, Part | None]) -> str:
    """The parts as JSON, the same for the same parts."""
    named = {name: {"unit": part.unit, **part.content()} for name, part in parts.items() if part is not None}
    return json.dumps({"format": FORMAT, "version": VERSION, **named}, ensure_ascii=False, indent=1) + "\n"


class _Parts(dict[str, Any]):
    """Parts of a file by name; another name is a ValueError."""

    def __init__(self, path: Path, parts: Mapping[str, Any]) -> None:
        super().__init__(parts)
        self._path = path

    def __missing__(self, name: str) -> Any:
        raise ValueError(
            f"{self._path}: no {name!r} in it, which the options of the run need; are they of another run?"
        )


def read_parts(path: Path, *more: Any) -> dict[str, Any]:
    """The parts of a file that `to_json` made.

    Args:
        path: the file.
        *more: kinds of part besides those of this package.

    Raises:
        ValueError: when it is not one.
        OSError: when it cannot be read.
    """
    kinds: dict[str, Any] = {
        kind.unit: kind
        for kind in (
            Labels,
            MostFrequent,
            Categories,
            Scaling,
            TokenVocabulary,
            CharacterVocabulary,
            BytePairVocabulary,
            *more,
        )
    }
    try:
        document = json.loads(path.read_bytes())
        found = document.pop("format"), document.pop("version")
        if found != (FORMAT, VERSION):
            raise ValueError(f"expected {FORMAT} version {VERSION}, got {found[0]} {found[1]}")
        return _Parts(path, {name: kinds[part["unit"]].from_content(part) for name, part in document.items()})
    except MALFORMED as error:
        raise ValueError(f"{path}: not a file of vocabularies of gatewise, or a corrupt one ({error})") from None
