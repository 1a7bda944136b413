"""Ctrl-C during training: finish the step, save, then stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):
    """Training has saved its state and stopped, as asked by Ctrl-C."""


class Interruption:
    """Whether the user has asked to stop.

    Attributes:
        requested: set by the first Ctrl-C; a second one stops at once, without saving.
    """

    def __init__(self) -> None:
        self.requested = False

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def deferred_interrupt() -> Iterator[Interruption]:
    """Turn Ctrl-C into a request while the block runs. Only the main thread receives signals; elsewhere, no change."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.signal(signal.SIGINT, interruption._request)
    try:
        yield interruption
    except Interrupted:
        raise KeyboardInterrupt from None
    except SystemExit:
        # Lightning ends the process itself on the second Ctrl-C.
        raise (KeyboardInterrupt if interruption.requested else SystemExit(1)) from None
    finally:
        signal.signal(signal.SIGINT, before)
