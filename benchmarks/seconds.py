"""Timing calls; imports no library, for processes that do without torch."""

import time
from collections.abc import Callable


def seconds_of(call: Callable[[], object], calls: int, before: Callable[[], object] | None = None) -> list[float]:
    """Seconds of each of some calls, without what is done before each of them."""
    taken: list[float] = []
    for _ in range(calls):
        if before is not None:
            before()
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return taken
