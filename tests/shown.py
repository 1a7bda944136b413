"""What progress shows, for tests that wait until it did."""

import io
import threading

import pytest

from gatewise import progress


class Stream(io.StringIO):
    """A standard error that tells when something was written."""

    def __init__(self, terminal: bool, columns: int = 80) -> None:
        super().__init__()
        self._terminal = terminal
        self.columns = columns
        self.written = threading.Event()

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        count = super().write(text)
        if text.strip():
            self.written.set()
        return count

    def wait(self) -> str:
        """What was written, once something new is."""
        self.written.clear()
        assert self.written.wait(60)
        return self.getvalue()


def shown_on(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """Everything is shown, at once, and there. To be called by the test: pytest sets the stream after fixtures."""
    monkeypatch.setattr(progress, "SHOWN_AFTER", 0.0)
    monkeypatch.setattr(progress, "BETWEEN_LINES", 0.0)
    monkeypatch.setattr(progress, "BETWEEN_DRAWINGS", 0.001)
    monkeypatch.setattr(progress, "_size", lambda: (stream.columns, 24))
    monkeypatch.setattr("sys.stderr", stream)
    return stream
