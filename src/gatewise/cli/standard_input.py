"""Whether something waits on the standard input."""

import os
import select
import stat
from typing import Any, TextIO


def input_waits(stream: TextIO) -> bool:
    """Whether a pipe or a file has something to read; nothing is taken from it, and a terminal never has.

    A pipe into which nothing has been written yet has nothing.
    """
    try:
        descriptor = stream.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError, AttributeError):  # closed, None, or not a file
        return False
    if stat.S_ISREG(mode):
        return os.fstat(descriptor).st_size > os.lseek(descriptor, 0, os.SEEK_CUR)
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        ready, _, _ = select.select([descriptor], [], [], 0)
        buffer: Any = getattr(stream, "buffer", None)
        return bool(ready) and bool(buffer.peek(1))  # at its end a pipe is ready, and empty
    return False
