"""What a task tells people, on the standard error: the standard output is for results."""

import sys


def say(text: str) -> None:
    """Tell."""
    print(text, file=sys.stderr)
