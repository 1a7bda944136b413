"""A check of options that another option rules out."""

from collections.abc import Mapping

_POSITIONAL = ("data", "file", "topic")


def check_unused(options: Mapping[str, object], reason: str) -> None:
    """Raise a ValueError for the first option that was given beside others that make it ineffective.

    Args:
        options: values by option name; None for options that were not given.
        reason: why the option has no effect.

    >>> check_unused({"top_p": 0.5}, "--next lists tokens and samples none")
    Traceback (most recent call last):
    ValueError: --top-p has no effect: --next lists tokens and samples none
    """
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{_flag(name)} has no effect: {reason}")


def _flag(name: str) -> str:
    return name if name in _POSITIONAL else f"--{name.replace('_', '-')}"
