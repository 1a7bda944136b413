"""Data that needs no file, asked for by name. Standard library alone."""

from collections.abc import Collection, Sequence
from pathlib import Path

_BUILTIN = "builtin:"


def is_builtin(path: Path) -> bool:
    """Whether a path names data that needs no file."""
    return str(path).startswith(_BUILTIN)


def builtin_name(paths: Sequence[Path], known: Collection[str]) -> str | None:
    """The name of the data that needs no file, None where files are named.

    Raises:
        ValueError: for an unknown name, a name beside others, or no file where there is no such data.
    """
    if not paths:
        if not known:
            raise ValueError("data: name a file to learn from; see --help for what it may be")
        return next(iter(known))
    if not any(map(is_builtin, paths)):
        return None
    name = str(paths[0]).removeprefix(_BUILTIN)
    if len(paths) > 1 or name not in known:
        names = ", ".join(_BUILTIN + one for one in known)
        expected = f"files, or one of {names}" if known else "files"
        raise ValueError(f"data: expected {expected}; got {', '.join(map(str, paths))}")
    return name
