"""Checks of options that a model or another option rules out. Standard library alone."""

from collections.abc import Iterable, Mapping
from typing import Any

_POSITIONAL = ("data", "file", "topic")


class Request:
    """Options that were given to a command; None, or no files, for those that were not."""

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of the options that were given, with their values."""
        return _given(vars(self), names)

    def check_supported(self, unsupported: Iterable[str], reason: str) -> None:
        """Check that no option was given that the model does not have, see `check_supported`."""
        check_supported(vars(self), unsupported, reason)

    def check_unused(self, unused: Iterable[str], reason: str) -> None:
        """Check that no option was given that another one makes ineffective, see `check_unused`."""
        check_unused(self.given(unused), reason)


def check_supported(options: Mapping[str, object], unsupported: Iterable[str], reason: str) -> None:
    """Check that no option was given that a model does not have.

    Args:
        options: values by name; None for those that were not given.
        unsupported: the names of those that the model does not have.
        reason: why not.

    Raises:
        ValueError: naming the first.

    >>> check_supported({"top_k": 3}, ["top_k"], "only a language model generates text")
    Traceback (most recent call last):
    ValueError: --top-k is not supported by this model (only a language model generates text)
    """
    for name in _given(options, unsupported):
        raise ValueError(f"{_flag(name)} is not supported by this model ({reason})")


def check_unused(options: Mapping[str, object], reason: str) -> None:
    """Check that no option was given beside others that make it ineffective.

    Args:
        options: values by name; None for those that were not given.
        reason: why they have no effect.

    Raises:
        ValueError: naming the first.

    >>> check_unused({"top_p": 0.5}, "--next lists tokens and samples none")
    Traceback (most recent call last):
    ValueError: --top-p has no effect: --next lists tokens and samples none
    """
    for name in _given(options, options):
        raise ValueError(f"{_flag(name)} has no effect: {reason}")


def _given(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if _is_given(options.get(name))}


def _is_given(value: Any) -> bool:
    """Whether a value is neither None nor an empty tuple; it may be a table, whose comparisons are tables."""
    return value is not None and not (isinstance(value, tuple) and not value)


def _flag(name: str) -> str:
    return name if name in _POSITIONAL else f"--{name.replace('_', '-')}"
