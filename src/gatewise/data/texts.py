"""Texts that may be larger than memory: read part by part, split by position."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gatewise.data.named_files import files_of
from gatewise.data.text import CHUNK, text_chunks
from gatewise.data.text_columns import column_chunks, is_table
from gatewise.progress import Progress

IN_MEMORY = 1 << 26
"""Characters up to which a text is kept in memory."""


@dataclass(frozen=True)
class Text:
    """A text, or a part of one.

    Attributes:
        characters: how many it has.
        in_memory: whether it is kept in memory; otherwise its files are read each time.
    """

    _whole: Callable[[], Iterator[str]]
    _start: int
    _stop: int
    in_memory: bool

    @classmethod
    def of(cls, text: str) -> "Text":
        """A text in memory."""
        return cls(lambda: (text[start : start + CHUNK] for start in range(0, len(text), CHUNK)), 0, len(text), True)

    @property
    def characters(self) -> int:
        return self._stop - self._start

    def chunks(self) -> Iterator[str]:
        """The text in parts of a few million characters.

        Raises:
            ValueError: when a file has changed since the text was opened.
            OSError: when a file cannot be read.
        """
        begin = 0
        if not self.characters:
            return
        for chunk in self._whole():
            end = begin + len(chunk)
            if end > self._start:
                yield chunk[max(self._start - begin, 0) : self._stop - begin]
            if end >= self._stop:
                return
            begin = end
        raise ValueError("data: a file became shorter while it was being read; try again once it is complete")

    def read(self) -> str:
        """The whole of it."""
        return "".join(self.chunks())

    def split(self, held_out: float, *, at_line_end: bool) -> tuple["Text", "Text"]:
        r"""Split into what comes first, to train on, and the last share, held out.

        Args:
            held_out: the share of characters to hold out, between 0 and 1.
            at_line_end: move the cut on to the next line end, so that no word is cut in two.

        >>> [part.read() for part in Text.of("one two\nthree four\nfive").split(0.5, at_line_end=True)]
        ['one two\nthree four\n', 'five']
        >>> [part.read() for part in Text.of("0123456789").split(0.1, at_line_end=False)]
        ['012345678', '9']
        """
        cut = self.characters - int(self.characters * held_out)
        if at_line_end:
            cut += self._part(cut, self.characters)._first_line()
        return self._part(0, cut), self._part(cut, self.characters)

    def _part(self, start: int, stop: int) -> "Text":
        return Text(self._whole, self._start + start, self._start + stop, self.in_memory)

    def _first_line(self) -> int:
        """The length of the first line with its end, 0 where no line ends."""
        before = 0
        for chunk in self.chunks():
            end = chunk.find("\n")
            if end >= 0:
                return before + end + 1
            before += len(chunk)
        return 0


def open_text(paths: Iterable[Path]) -> tuple[Text, str]:
    """The text of files, one after another, and its SHA-256 in hexadecimal.

    A text of more than `IN_MEMORY` characters is not kept but read from the files again whenever it is needed.

    Args:
        paths: text files, compressed or not; patterns such as ``corpus/*.txt.gz``; folders, of which all files are
            read that are not hidden, in the order of their paths; tables with a column "text" (.arrow, .parquet), and
            the folders that ``save_to_disk`` of Hugging Face datasets writes, a line or more for each row.

    Raises:
        ValueError: naming the file that is empty or not UTF-8, the table without that column, or the pattern or folder
            without files.
        MissingExtraError: for a table, when pyarrow is not installed.
        OSError: when a file cannot be read.
    """
    files = _Files(list(files_of(paths)))
    digest, kept, characters = sha256(), list[str](), 0
    with Progress("reading", "characters") as progress:
        for chunk in files():
            digest.update(chunk.encode())
            characters += len(chunk)
            progress.advance(len(chunk))
            if characters <= IN_MEMORY:
                kept.append(chunk)
            else:
                kept.clear()
    if characters <= IN_MEMORY:
        return Text.of("".join(kept)), digest.hexdigest()
    return Text(files, 0, characters, False), digest.hexdigest()


def read_chunks(paths: Iterable[Path]) -> Iterator[str]:
    """The text of files part by part, once; the arguments and errors are those of `open_text`."""
    return _Files(list(files_of(paths)))()


class _Files:
    """The text of files, again and again, as long as they stay as they were."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._states = [(path, _state(path)) for path in paths]

    def __call__(self) -> Iterator[str]:
        for path, state in self._states:
            if _state(path) != state:
                raise ValueError(f"{path}: was changed while it was being read; try again once it is complete")
            yield from column_chunks(path) if is_table(path) else text_chunks(path, CHUNK)


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
