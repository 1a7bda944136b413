"""What a task tells people, on the standard error: the standard output is for results."""

import sys

from tqdm import tqdm


def say(text: str) -> None:
    """Write a line, above the progress bar if there is one."""
    tqdm.write(text, file=sys.stderr)
