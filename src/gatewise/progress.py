"""What long work tells people on the standard error: notices, and how far it is.

On a terminal and in a notebook that is a bar, otherwise a line now and then; nothing is shown of work that ends soon.
The standard output is for results.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from gatewise.extras import installed
from gatewise.formatting import format_number

Item = TypeVar("Item")

SHOWN_AFTER = 1.5
"""Seconds before work is shown."""
BETWEEN_LINES = 10.0
"""Seconds without any line before there is one, where there are no bars."""
BETWEEN_DRAWINGS = 0.25
"""Seconds between two looks at what is running."""


def say(text: str) -> None:
    """Write a line, above the bars if there are any."""
    _board.said_at = time.monotonic()
    if _has_bars():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """A duration as hours, minutes and seconds.

    >>> clock(75), clock(3600)
    ('1:15', '1:00:00')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Progress:
    """Shows work while the block runs.

    A thread draws it: one long call into a library is shown too, and `advance` costs nothing.

    Args:
        what: what is done, such as "scoring".
        unit: the plural of what speed is measured in, such as "tokens"; without one no speed is shown.
        total: how many steps there are, if that is known.
        done: steps that were done before.
        status: tells how it goes; by default amount, speed and time.

    Attributes:
        done: steps so far.
    """

    def __init__(
        self,
        what: str,
        unit: str = "",
        total: float | None = None,
        *,
        done: float = 0,
        status: Callable[[], str] | None = None,
    ) -> None:
        self.done = self._first = done
        self._what, self._unit, self._total = what, unit, total
        self._amount = 0.0
        self._status = status or self._usual_status
        self._began_at = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        _board.add(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _board.remove(self)

    def advance(self, amount: float = 1) -> None:
        """A step was done.

        Args:
            amount: what it was worth, in the unit of speed.
        """
        self._amount += amount
        self.done += 1

    @property
    def age(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began_at

    @property
    def line(self) -> str:
        """How far it is."""
        share = f" {100 * self.done / self._total:.0f}%," if self._total else ""
        return f"{self._what}:{share} {self._status()}"

    def draw(self, kind: Any) -> None:
        """Draw the bar, of a class of tqdm."""
        columns, rows = _size()
        form = _form(self._what, self._status(), self._total, columns)
        if self._bar is None:
            width = {} if _is_of_notebooks(kind) else {"ncols": columns, "nrows": rows}
            self._bar = kind(total=self._total, initial=self.done, bar_format=form, leave=False, **width)
        else:
            self._bar.n, self._bar.bar_format, self._bar.ncols = self.done, form, columns
            self._bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _usual_status(self) -> str:
        elapsed, steps = max(self.age, 1e-9), self.done - self._first
        parts: list[str] = []
        if not self._total:
            parts.append(clock(elapsed))
        elif steps:
            parts.append(f"{clock(elapsed / steps * (self._total - self.done))} left")
        if self._unit:
            parts.append(f"{self._amount:,.0f} {self._unit}")
            parts.append(f"{format_number(self._amount / elapsed, 3)} {self._unit}/s")
        return ", ".join(parts)


def _form(what: str, status: str, total: float | None, columns: int) -> str:
    """What tqdm makes a bar of."""
    if not total:
        what, status = f"{what}: {status}"[: columns - 1], ""  # which tqdm does not cut
    what, status = (text.replace("{", "{{").replace("}", "}}") for text in (what, status))
    return f"{what}: {{percentage:3.0f}}%|{{bar}}| {status}" if total else what


def _size() -> tuple[int, int]:
    """The columns and rows of the terminal; those of a usual one where it does not tell."""
    try:
        columns, rows = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        columns = rows = 0
    return columns or 80, rows or 24


def tracked(
    items: Iterable[Item],
    what: str,
    unit: str,
    total: float | None = None,
    size: Callable[[Item], float] = lambda _: 1,
) -> Iterator[Item]:
    """The items, with their progress; see `Progress`.

    Args:
        items: what is worked on.
        what, unit: see `Progress`.
        total: how many items there are, where they have no ``len``.
        size: what an item is worth, in the unit.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # pyright: ignore[reportArgumentType]
    with Progress(what, unit, total) as progress:
        for item in items:
            yield item
            progress.advance(size(item))


@contextmanager
def hidden() -> Iterator[None]:
    """Show no progress while the block runs: results stand on the same terminal."""
    _board.hidden += 1
    try:
        yield
    finally:
        _board.hidden -= 1


def clear() -> None:
    """Take all bars away: what they showed has ended with an error."""
    _board.clear()


class _Board:
    """All that is running, the outermost first, and the thread that shows it while there is any."""

    def __init__(self) -> None:
        self.said_at = 0.0
        self.hidden = 0
        self._running: list[Progress] = []
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def add(self, progress: Progress) -> None:
        with self._lock:
            self._running.append(progress)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gatewise-progress", daemon=True)
                self._thread.start()

    def remove(self, progress: Progress) -> None:
        with self._lock:
            if progress in self._running:  # which it is not after `clear`, or in a process that was forked since
                self._running.remove(progress)
                progress.close()

    def clear(self) -> None:
        with self._lock:
            while self._running:
                self._running.pop().close()

    def _run(self) -> None:
        while True:
            time.sleep(BETWEEN_DRAWINGS)
            with self._lock:
                if not self._running:
                    self._thread = None
                    return
                if not self.hidden:
                    self._show([one for one in self._running if one.age >= SHOWN_AFTER])

    def _show(self, long: list[Progress]) -> None:
        if not long:
            return
        kind = _kind_of_bar()
        if kind is not None:
            for one in long:
                one.draw(kind)
        elif min(time.monotonic() - self.said_at, self._running[0].age) >= BETWEEN_LINES:
            say(long[-1].line)


def _kind_of_bar() -> Any:
    """The class of bars for where the standard error goes; None where lines are for."""
    if not _has_bars():
        return None
    from tqdm.auto import tqdm

    return tqdm if _is_of_notebooks(tqdm) or sys.stderr.isatty() else None


def _has_bars() -> bool:
    """Whether tqdm is installed; without it there are lines on a terminal too."""
    return installed("tqdm")


def _is_of_notebooks(kind: type) -> bool:
    return any(base.__module__ == "tqdm.notebook" for base in kind.__mro__)


_board = _Board()


def _start_afresh() -> None:
    global _board
    _board = _Board()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)  # where the thread is gone, and may have held the lock
