"""The text that every machine has: Python's own language manual, as ``help()`` shows it."""

from pydoc_data.topics import topics


def manual_text() -> str:
    r"""The topics of Python's manual (`pydoc_data.topics`) in sorted key order, joined by one ``"\n"``.

    About 465,000 characters; it differs between versions of Python. Each topic ends with a line end, so the joiner
    leaves a blank line between topics.
    """
    return "\n".join(topics[name] for name in sorted(topics))


def without_repeated_passages(held_out: str, training: str) -> str:
    r"""The held-out text without the passages that also occur in the training text.

    A passage is the text between blank lines; two are the same when they differ only in the white space around
    them. The manual says many things twice (a method under two topics), which would let a model score by memory.

    >>> without_repeated_passages("a\n\nb\n\nc", "x\n\n b \n\ny")
    'a\n\nc'
    """
    known = {passage.strip() for passage in training.split("\n\n")} - {""}
    return "\n\n".join(passage for passage in held_out.split("\n\n") if passage.strip() not in known)
