"""Whether input is waiting on the standard input."""

import os
import select
import stat
from typing import Any, TextIO


def input_waits(stream: TextIO) -> bool:
    """Whether a pipe or file has data to read, without consuming it; False for a terminal and an empty pipe."""
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
        return bool(ready) and bool(buffer.peek(1))  # a pipe at end of file is ready, but empty
    return False
