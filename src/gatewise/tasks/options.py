"""Options of a task as a dataclass: checked, read from TOML, written as TOML. Standard library alone.

A task's options are a frozen dataclass whose fields carry their type, their bounds (`Bounds` in an `Annotated`) and,
as the docstring below the field, the help that the command line shows; where a field is defined again for another
default, the help stays.
"""

import dataclasses
import difflib
import json
import math
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options")


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The values that a number may take; an end that is `open` does not belong to them."""

    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    def hold(self, value: float) -> bool:
        """Whether the value is one of them; NaN and infinity never are."""
        inside = self.low < value < self.high if self.open else self.low <= value <= self.high
        return inside and math.isfinite(value)

    def __str__(self) -> str:
        above, below = ("above", "below") if self.open else ("at least", "at most")
        ends = [f"{above} {self.low:g}"] * (self.low > -math.inf) + [f"{below} {self.high:g}"] * (self.high < math.inf)
        return " and ".join(ends) or "finite"


Count = Annotated[int, Bounds(low=1)]
Positive = Annotated[float, Bounds(low=0, open=True)]


def build(kind: type[Options], values: Mapping[str, object]) -> Options:
    """The options that a mapping of names to values gives, everything else at its default.

    Raises:
        ValueError: for an unknown name, with the nearest known one, or a value that is out of bounds.
        TypeError: for a value of the wrong type.
    """
    known = get_type_hints(kind, include_extras=True)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else f"; the options are: {', '.join(known)}"
            raise ValueError(f"unknown option {name!r}{meant}")
    return kind(**{name: _with_paths(value, known[name]) for name, value in values.items()})


def with_recipe(options: Options, recipe: Mapping[str, object]) -> Options:
    """The options with those of a recipe wherever they are at their defaults.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Baking:
    ...     minutes: int = 10
    ...     salt: bool = False
    >>> with_recipe(Baking(minutes=12), {"minutes": 50, "salt": True})
    Baking(minutes=12, salt=True)
    """
    defaults = {field.name: field.default for field in dataclasses.fields(cast(Any, options))}
    return dataclasses.replace(
        cast(Any, options),
        **{name: value for name, value in recipe.items() if getattr(options, name) == defaults[name]},
    )


def check(options: object) -> None:
    """Check every field of a dataclass against its annotation; to be called from ``__post_init__``.

    Raises:
        ValueError, TypeError: naming the option, what was expected and what came.
    """
    for name, hint in get_type_hints(type(options), include_extras=True).items():
        _check(name, getattr(options, name), hint)


def read_toml(path: Path) -> dict[str, Any]:
    """The options in a TOML file; their names may have ``-`` for ``_``, as on the command line.

    Raises:
        ValueError: when it is not TOML.
        OSError: when it cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from None
    return {name.replace("-", "_"): value for name, value in content.items()}


def to_toml(options: "DataclassInstance") -> str:
    """All options as TOML; `read_toml` and `build` give the same options again. TOML has no null: None is left out."""
    pairs = ((field.name, getattr(options, field.name)) for field in dataclasses.fields(options))
    return "".join(f"{name} = {_toml(value)}\n" for name, value in pairs if value is not None)


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, str | Path):
        # A JSON string is a TOML string, but for the one character that TOML wants escaped and JSON does not.
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _with_paths(value: object, hint: object) -> object:
    """Strings where paths are wanted, as paths; one where several are wanted, as one of several."""
    paths = Path in get_args(hint)
    if get_origin(hint) is tuple and isinstance(value, str | Path | list | tuple):
        several = (value,) if isinstance(value, str | Path) else value
        return tuple(Path(item) if paths and isinstance(item, str) else item for item in several)
    return Path(value) if paths and isinstance(value, str) else value


def _check(name: str, value: object, hint: Any) -> None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _check(name, value, hint)
    if origin is Annotated:
        _check(name, value, arguments[0])
        if not arguments[1].hold(value):
            raise ValueError(f"{name}: expected a number {arguments[1]}, got {value}")
    elif origin is Literal:
        if value not in arguments:
            raise ValueError(f"{name}: expected one of {', '.join(map(str, arguments))}, got {value!r}")
    elif origin is tuple:
        if not isinstance(value, tuple) or not all(isinstance(item, arguments[0]) for item in value):
            raise TypeError(f"{name}: expected a sequence of {arguments[0].__name__}, got {value!r}")
    else:
        accepted = (int, float) if hint is float else hint
        if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
            raise TypeError(f"{name}: expected {hint.__name__}, got {value!r}")
