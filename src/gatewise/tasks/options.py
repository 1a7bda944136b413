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
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options")


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The values that a number may take; an end that is `open` does not belong to them."""

    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    def contains(self, value: float) -> bool:
        """Whether the value is one of them; NaN and infinity never are."""
        inside = self.low < value < self.high if self.open else self.low <= value <= self.high
        return inside and math.isfinite(value)

    def __str__(self) -> str:
        above, below = ("above", "below") if self.open else ("at least", "at most")
        ends = [f"{above} {self.low:g}"] * (self.low > -math.inf) + [f"{below} {self.high:g}"] * (self.high < math.inf)
        return " and ".join(ends) or "finite"


_LARGEST = 2**63 - 1

Count = Annotated[int, Bounds(low=1)]
Positive = Annotated[float, Bounds(low=0, open=True)]


class RunOptions(Protocol):
    """The options of a run, as `choose` needs them."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def defaults_for(cls, values: Mapping[str, Any]) -> Mapping[str, object]:
        """Other defaults, for the data that the values name."""
        ...

    def unused(self) -> Mapping[str, str]:
        """The options without an effect beside the others, each with the reason."""
        ...


Chosen = TypeVar("Chosen", bound=RunOptions)


def choose(kind: type[Chosen], given: Mapping[str, object], config: Path | None = None) -> Chosen:
    """The options of a new run: those given, then those of a file, then defaults.

    Args:
        kind: the class of the options.
        given: values by name.
        config: a TOML file with more of them.

    Raises:
        ValueError: for an unknown name, a value that is out of bounds, or an option that has no effect.
        TypeError: for a value of the wrong type.
        OSError: when the file cannot be read.
    """
    of_file = {} if config is None else _checked(kind, read_toml(config), f"{config}: ")
    values = {**of_file, **_checked(kind, given)}
    options = kind(**{**kind.defaults_for(values), **values})
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    for name, why in options.unused().items():
        # A file may list all options, as those of earlier versions do.
        if name in given or of_file.get(name, defaults[name]) != defaults[name]:
            raise ValueError(f"{'' if name in given else f'{config}: '}{name}: has no effect: {why}")
    return options


def changed(options: "DataclassInstance") -> dict[str, Any]:
    """The options that differ from the defaults, by name, without those that follow from the others.

    >>> from gatewise.tasks.tagging.options import TaggingOptions
    >>> changed(TaggingOptions(hidden=64))
    {'hidden': 64}
    """
    fields = dataclasses.fields(options)
    values = {field.name: getattr(options, field.name) for field in fields}
    found = {field.name: values[field.name] for field in fields if values[field.name] != field.default}
    for name in tuple(found):
        others = {other: value for other, value in found.items() if other != name}
        with suppress(ValueError):  # the others need it
            if getattr(type(options)(**others), name) == values[name]:
                found = others
    return found


def without_effect(names: Iterable[str], why: str, *, when: bool) -> dict[str, str]:
    """The names, each with the reason; nothing unless the condition holds."""
    return dict.fromkeys(names, why) if when else {}


def build(kind: type[Options], values: Mapping[str, object]) -> Options:
    """The options that a mapping of names to values gives, everything else at its default.

    Raises:
        ValueError: for an unknown name, with the nearest known one, or a value that is out of bounds.
        TypeError: for a value of the wrong type.
    """
    return kind(**_checked(kind, values))


def _checked(kind: type, values: Mapping[str, object], where: str = "") -> dict[str, Any]:
    """The values, each a field of the class and of its type; `where` is the prefix of every message."""
    known = _hints(kind)
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else f"; the options are: {', '.join(known)}"
            raise ValueError(f"{where}unknown option {name!r}{meant}")
        found[name] = _with_paths(value, known[name])
        _check(name, found[name], known[name], where)
    return found


def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def check(options: object) -> None:
    """Check every field of a dataclass against its annotation; to be called from ``__post_init__``.

    Raises:
        ValueError, TypeError: naming the option, what was expected and what came.
    """
    for name, hint in _hints(type(options)).items():
        _check(name, getattr(options, name), hint)


def read_toml(path: Path) -> dict[str, Any]:
    """The options in a TOML file; their names may have ``-`` for ``_``, as on the command line.

    Raises:
        ValueError: when it is not TOML, has a table, or an option twice.
        OSError: when it cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # a number of thousands of digits is none of tomllib's own
        raise ValueError(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply; expected a value for each option") from None
    values: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
            raise ValueError(f"{path}: options stand at the top level, outside of tables; got the table [{name}]")
        if name.replace("-", "_") in values:
            raise ValueError(f"{path}: {name} is there twice, with - and with _")
        values[name.replace("-", "_")] = value
    return values


def to_toml(options: "DataclassInstance", omit: Container[str] = ()) -> str:
    """The options as TOML; `read_toml` and `build` give the same options again. TOML has no null: None is omitted.

    Args:
        options: the options.
        omit: the names of those to omit too.
    """
    names = (field.name for field in dataclasses.fields(options) if field.name not in omit)
    pairs = ((name, getattr(options, name)) for name in names)
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


def _is_like(value: object, hint: Any) -> bool:
    """Whether a value is a path where one is meant, or one of the words that are."""
    return (hint is Path and isinstance(value, Path)) or (get_origin(hint) is Literal and value in get_args(hint))


def _expected_items(kind: type) -> str:
    if kind is Path:
        return "paths of files"
    return f"a sequence of {kind.__name__}"


def _check(name: str, value: object, hint: Any, where: str = "") -> None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return
        several = [argument for argument in arguments if argument is not type(None)]
        # Of a number or a path, or a number or a word, that which was given.
        hint = next((one for one in several if _is_like(value, one)), several[0])
        words = [word for one in several if get_origin(one) is Literal for word in get_args(one)]
        if isinstance(value, str) and words and value not in words:
            raise ValueError(f"{where}{name}: expected a number or {', '.join(words)}, got {value!r}")
        return _check(name, value, hint, where)
    if origin is Annotated:
        _check(name, value, arguments[0], where)
        if not arguments[1].contains(value):
            raise ValueError(f"{where}{name}: expected a number {arguments[1]}, got {value}")
    elif origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where}{name}: expected one of {', '.join(map(str, arguments))}, got {value!r}")
    elif origin is tuple:
        items = value if isinstance(value, tuple) else (value,)
        wrong = [item for item in items if not isinstance(item, arguments[0])]
        if wrong or not isinstance(value, tuple):
            raise TypeError(
                f"{where}{name}: expected {_expected_items(arguments[0])}, got {(wrong or items)[0]!r:.100}"
            )
    else:
        accepted = (int, float) if hint is float else hint
        if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
            raise TypeError(f"{where}{name}: expected {hint.__name__}, got {value!r}")
        if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
            raise ValueError(f"{where}{name}: expected a number of at most 63 bits, got one of {value.bit_length()}")
