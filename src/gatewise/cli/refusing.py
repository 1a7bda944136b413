"""Options that a model has no use for."""

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
