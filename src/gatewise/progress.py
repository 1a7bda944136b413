"""Notices and progress of long work, on the standard error.

Progress is a bar on a terminal and in a notebook, otherwise an occasional line; short work shows none. The standard
output is for results.
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
"""Seconds until progress is shown."""
BETWEEN_LINES = 10.0
"""Seconds between lines, without bars."""
BETWEEN_DRAWINGS = 0.25
"""Seconds between updates of the bars."""


def say(text: str) -> None:
    """Write a line, above any bars."""
    if _board.silent:
        return
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
    """Shows the progress of a block.

    A thread draws it, so that a long call into a library is shown too, and `advance` is cheap.

    Args:
        what: the activity, such as "scoring".
        unit: the unit of speed, in the plural, such as "tokens"; without one no speed is shown.
        total: number of steps, if known.
        done: number of steps done before.
        status: returns the status text; by default amount, speed and time.

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

    def advance(self, amount: float = 1, steps: float = 1) -> None:
        """Count a step.

        Args:
            amount: its amount in the unit of speed.
            steps: how many steps it counts as.
        """
        self._amount += amount
        self.done += steps

    @property
    def age(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began_at

    @property
    def line(self) -> str:
        """The progress as a line."""
        share = f" {100 * self.done / self._total:.0f}%," if self._total else ""
        return f"{self._what}:{share} {self._status()}"

    def draw(self, kind: Any) -> None:
        """Draw the bar, of a class of tqdm."""
        columns, rows = _size()
        form = _form(self._what, self._status(), self._total, columns)
        if self._bar is None:
            width = {} if _is_notebook_bar(kind) else {"ncols": columns, "nrows": rows}
            self._bar = kind(total=self._total, initial=self.done, bar_format=form, leave=False, **width)
        else:
            self._bar.n, self._bar.bar_format, self._bar.ncols = self.done, form, columns
            self._bar.refresh()

    def close(self) -> None:
        """Remove the bar."""
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
    """The bar format for tqdm."""
    if not total:
        what, status = f"{what}: {status}"[: columns - 1], ""  # tqdm does not truncate it
    what, status = (text.replace("{", "{{").replace("}", "}}") for text in (what, status))
    return f"{what}: {{percentage:3.0f}}%|{{bar}}| {status}" if total else what


def _size() -> tuple[int, int]:
    """The columns and rows of the terminal, by default 80 and 24."""
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
        items: the items to process.
        what, unit: see `Progress`.
        total: number of items, if they have no ``len``.
        size: the amount of an item in the unit.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # pyright: ignore[reportArgumentType]
    with Progress(what, unit, total) as progress:
        for item in items:
            yield item
            progress.advance(size(item))


@contextmanager
def hidden() -> Iterator[None]:
    """Show no progress during the block, which prints results to the same terminal."""
    _board.hidden += 1
    try:
        yield
    finally:
        _board.hidden -= 1


@contextmanager
def silent() -> Iterator[None]:
    """Write no lines and show no progress during the block: another process does that for all."""
    _board.silent += 1
    try:
        with hidden():
            yield
    finally:
        _board.silent -= 1


def clear() -> None:
    """Remove all bars, after an error."""
    _board.clear()


class _Board:
    """The running `Progress` objects, outermost first, and the thread that shows them."""

    def __init__(self) -> None:
        self.said_at = 0.0
        self.hidden = self.silent = 0
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
            if progress in self._running:  # not after `clear`, or in a forked process
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
    """The tqdm class for the standard error; None for lines."""
    if not _has_bars():
        return None
    from tqdm.auto import tqdm

    return tqdm if _is_notebook_bar(tqdm) or sys.stderr.isatty() else None


def _has_bars() -> bool:
    """Whether tqdm is installed; otherwise lines are used on a terminal too."""
    return installed("tqdm")


def _is_notebook_bar(kind: type) -> bool:
    return any(base.__module__ == "tqdm.notebook" for base in kind.__mro__)


_board = _Board()


def _reset_after_fork() -> None:
    global _board
    _board = _Board()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)  # the thread no longer exists, and may have held the lock
