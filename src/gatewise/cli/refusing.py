"""Options that have no effect are refused."""

from collections.abc import Mapping


def refuse(options: Mapping[str, object], why: str) -> None:
    """Raise a ValueError for the first option that was given.

    Args:
        options: their values by name; None where one was not given.
        why: what the model does, or does not.

    >>> refuse({"beam": None}, "it does not search")
    >>> refuse({"top_k": 3}, "a language model writes text")
    Traceback (most recent call last):
    ValueError: top-k: is not for this model; a language model writes text
    """
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name.replace('_', '-')}: is not for this model; {why}")


def refuse_unused(options: Mapping[str, object], why: str) -> None:
    """Raise a ValueError for the first option that was given beside others that leave it without an effect.

    Args:
        options: their values by name; None where one was not given.
        why: what leaves it without one.

    >>> refuse_unused({"top_p": 0.5}, "--next lists tokens, and draws none")
    Traceback (most recent call last):
    ValueError: --top-p: has no effect: --next lists tokens, and draws none
    """
    for name, value in options.items():
        if value is not None:
            flag = name if name in ("file", "topic", "data") else f"--{name.replace('_', '-')}"
            raise ValueError(f"{flag}: has no effect: {why}")
